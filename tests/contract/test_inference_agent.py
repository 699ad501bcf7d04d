"""The inference contract, kept by every agent: in process, in a child of ours, and behind any OpenAI-compatible URL."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from tests.contract.conftest import SLOTS, Engine, Subject
from toque.model.errors import CallerError
from toque.model.inference import (
    Completion,
    Delta,
    FinishReason,
    Json,
    Message,
    PromptContext,
    SamplingParameters,
)

LONG_TOKENS = 150
TOOL: dict[str, Json] = {
    "type": "function",
    "function": {"name": "look_up", "description": "Looks up a city.", "parameters": {"type": "object"}},
}


def chat(text: str, max_tokens: int | None = None, **sampling: float) -> PromptContext:
    return PromptContext(
        messages=[Message("user", text)],
        sampling=SamplingParameters(max_tokens=max_tokens, **{"temperature": 0.0, **sampling}),
    )


LONG = PromptContext(
    messages=[Message("user", "Tell a long story about a lighthouse.")],
    sampling=SamplingParameters(temperature=0.0, max_tokens=LONG_TOKENS),
)


async def all_of(subject: Subject, context: PromptContext) -> list[Delta]:
    return [delta async for delta in subject.agent.stream(context)]


async def is_working(engine: Engine) -> None:
    async with asyncio.timeout(10):
        while not await engine.in_flight():
            await asyncio.sleep(0)


async def is_idle(engine: Engine) -> None:
    async with asyncio.timeout(10):
        while await engine.in_flight():
            await asyncio.sleep(0)


async def test_an_answer_has_text_and_ends_with_stop(subject: Subject) -> None:
    completion = await subject.agent.generate(chat("Say hi."))
    assert completion.text
    assert completion.finish_reason is FinishReason.STOP
    assert completion.usage.prompt_tokens >= 2
    assert completion.usage.completion_tokens >= 2


async def test_an_answer_cut_at_max_tokens_ends_with_length(subject: Subject) -> None:
    completion = await subject.agent.generate(chat("Tell a story.", max_tokens=5))
    assert completion.finish_reason is FinishReason.LENGTH
    assert completion.usage.completion_tokens == 5


async def test_a_prompt_is_continued(subject: Subject) -> None:
    completion = await subject.agent.generate(
        PromptContext(prompt="One, two, three,", sampling=SamplingParameters(temperature=0.0, max_tokens=4))
    )
    assert completion.text
    assert completion.usage.completion_tokens == 4


async def test_a_stream_brings_the_same_text_in_pieces_and_its_usage_last(subject: Subject) -> None:
    context = chat("Say hi.", max_tokens=12)
    whole = await subject.agent.generate(context)
    *pieces, last = await all_of(subject, context)
    assert len(pieces) > 1
    assert all(piece.finish_reason is None and piece.usage is None for piece in pieces)
    assert "".join(piece.text for piece in [*pieces, last]) == whole.text
    assert (last.finish_reason, last.usage) == (whole.finish_reason, whole.usage)


async def test_the_first_piece_comes_while_the_engine_still_works(subject: Subject) -> None:
    async with aclosing(subject.agent.stream(LONG)) as deltas:
        first = await anext(deltas)
        assert first.text
        assert await subject.engine.in_flight() == 1
    await is_idle(subject.engine)


async def test_closing_a_stream_stops_its_decoding(subject: Subject) -> None:
    before = await subject.engine.tokens_decoded()
    async with aclosing(subject.agent.stream(LONG)) as deltas:
        for _ in range(3):
            await anext(deltas)
    await stopped_early(subject.engine, before)


async def test_cancelling_a_pending_answer_stops_its_decoding(subject: Subject) -> None:
    before = await subject.engine.tokens_decoded()
    pending = asyncio.ensure_future(subject.agent.generate(LONG))
    await is_working(subject.engine)
    pending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pending
    await stopped_early(subject.engine, before)


async def test_cancelling_one_answer_while_others_run_stops_only_that_one(subject: Subject) -> None:
    before = await subject.engine.tokens_decoded()
    pending = asyncio.ensure_future(subject.agent.generate(LONG))
    await is_working(subject.engine)
    others = [subject.agent.stream(chat("Count.", max_tokens=40)) for _ in range(2)]
    await asyncio.gather(*(anext(other) for other in others))
    pending.cancel()
    lasts = [[delta async for delta in other][-1] for other in others]
    assert all(last.usage is not None for last in lasts)
    await stopped_early(subject.engine, before + sum(last.usage.completion_tokens for last in lasts if last.usage))


async def stopped_early(engine: Engine, before: float) -> None:
    await is_idle(engine)
    assert await engine.tokens_decoded() - before < LONG_TOKENS / 2


async def test_the_same_question_at_temperature_zero_gets_the_same_answer(subject: Subject) -> None:
    answers = {(await subject.agent.generate(chat("Name a colour.", max_tokens=12))).text for _ in range(3)}
    assert len(answers) == 1


async def test_as_many_answers_at_once_as_there_are_slots(subject: Subject) -> None:
    async def ask(number: int) -> Completion:
        return await subject.agent.generate(chat(f"Tell a story about the number {number}.", max_tokens=6))

    completions = await asyncio.gather(*(ask(number) for number in range(SLOTS)))
    assert [completion.usage.completion_tokens for completion in completions] == [6] * SLOTS


async def test_a_context_without_a_question_is_the_callers_fault(subject: Subject) -> None:
    with pytest.raises(CallerError):
        await subject.agent.generate(PromptContext())
    with pytest.raises(CallerError):
        await all_of(subject, PromptContext(messages=LONG.messages, prompt="Both?"))


async def test_what_the_engine_refuses_is_the_callers_fault_and_it_says_why(subject: Subject) -> None:
    context = PromptContext(messages=LONG.messages, tools=[TOOL], tool_choice="bogus")
    with pytest.raises(CallerError, match="tool_choice"):
        await subject.agent.generate(context)
    with pytest.raises(CallerError, match="tool_choice"):
        await all_of(subject, context)


async def test_a_required_tool_is_called(subject: Subject) -> None:
    context = replace(chat("Where is Oslo?", max_tokens=8), tools=[TOOL], tool_choice="required")
    completion = await subject.agent.generate(context)
    if not subject.calls_tools:
        assert completion.text
    else:
        assert completion.finish_reason is FinishReason.TOOL_CALLS
        assert [call["function"] for call in completion.tool_calls] == [{"name": "look_up", "arguments": "{}"}]
        assert (await all_of(subject, context))[-1].tool_calls == completion.tool_calls


async def test_a_conversation_may_contain_calls_of_tools_and_what_they_said(subject: Subject) -> None:
    call = {"id": "call-1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    context = PromptContext(
        messages=[
            Message("user", [{"type": "text", "text": "Where is Oslo?"}]),
            Message("assistant", tool_calls=[call]),
            Message("tool", "Norway", tool_call_id="call-1"),
        ],
        sampling=SamplingParameters(temperature=0.0, max_tokens=5),
    )
    assert (await subject.agent.generate(context)).text
