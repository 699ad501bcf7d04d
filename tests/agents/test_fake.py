"""The fake model: honest counts, faults as they are set, the same answers every time."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping

import pytest

from toque.agents.answer_body import AnswerError
from toque.agents.fake import CRASH_STATUS, EMBEDDING_DIMENSIONS, FakeAgent, FakeKind
from toque.model.agent_spec import AgentSpec
from toque.model.errors import CallerError, ConfigError, ToqueError
from toque.model.inference import FinishReason, Message, PromptContext, SamplingParameters, Usage
from toque.model.ticket import FailureKind

ASK = PromptContext(messages=[Message("system", "Be kind."), Message("user", "How are you?")])


async def test_one_word_is_one_token() -> None:
    completion = await FakeAgent(tokens=7).generate(ASK)
    assert len(completion.text.split()) == 7
    assert completion.usage == Usage(prompt_tokens=5, completion_tokens=7)


async def test_max_tokens_cuts_the_answer_short() -> None:
    fake = FakeAgent(tokens=7)
    short = await fake.generate(PromptContext(prompt="Hi", sampling=SamplingParameters(max_tokens=2)))
    assert (short.finish_reason, short.usage) == (FinishReason.LENGTH, Usage(1, 2))
    assert fake.tokens_decoded == 2


async def test_different_questions_get_different_words() -> None:
    fake = FakeAgent()
    answers = {(await fake.generate(PromptContext(prompt=f"Number {number}"))).text for number in range(20)}
    assert len(answers) > 5


async def test_prefill_and_gaps_take_their_time() -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await FakeAgent(ttft_s=0.02, prefill_s_per_token=0.01, token_gap_s=0.01, tokens=3).generate(ASK)
    assert loop.time() - begin >= 0.02 + 5 * 0.01 + 2 * 0.01


async def test_nothing_is_decoded_after_a_cancellation() -> None:
    fake = FakeAgent(token_gap_s=0.001, tokens=1000)
    pending = asyncio.ensure_future(fake.generate(ASK))
    while not fake.tokens_decoded:
        await asyncio.sleep(0)
    pending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pending
    decoded = fake.tokens_decoded
    await FakeAgent(ttft_s=0.02).generate(ASK)
    assert fake.tokens_decoded == decoded < 1000


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (500, AnswerError, FailureKind.ERROR),
        (503, AnswerError, FailureKind.BUSY),
        (429, AnswerError, FailureKind.BUSY),
        (400, CallerError, None),
    ],
)
async def test_a_failure_is_of_the_kind_that_was_asked_for(
    status: int, error: type[ToqueError], kind: FailureKind | None
) -> None:
    with pytest.raises(error) as raised:
        await FakeAgent(fail_ratio=1.0, fail_status=status).generate(ASK)
    assert raised.value.status == status
    assert getattr(raised.value, "kind", None) is kind


async def test_the_same_seed_fails_the_same_requests() -> None:
    async def fates(seed: int) -> list[bool]:
        fake = FakeAgent(fail_ratio=0.3, seed=seed)
        asked = [fake.generate(ASK) for _ in range(50)]
        return [isinstance(await one, Exception) for one in map(_settled, asked)]

    assert await fates(1) == await fates(1) != await fates(2)
    assert 5 < sum(await fates(1)) < 30


async def _settled(asked: object) -> object:
    (outcome,) = await asyncio.gather(asked, return_exceptions=True)  # type: ignore[call-overload]
    return outcome


async def test_a_hang_never_answers() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await FakeAgent(hang_ratio=1.0).generate(ASK)


def test_a_crash_ends_the_process_without_a_word() -> None:
    code = (
        "import asyncio\n"
        "from toque.agents.fake import FakeAgent\n"
        "from toque.model.inference import PromptContext\n"
        "fake = FakeAgent(crash_after=2)\n"
        "for number in range(3): print(number, asyncio.run(fake.generate(PromptContext(prompt='Hi'))).text, flush=True)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == CRASH_STATUS
    assert len(ended.stdout.splitlines()) == 2
    assert not ended.stderr


async def test_a_vector_depends_on_its_text_only_and_has_length_one() -> None:
    first, second, third = await FakeAgent().embed(["a", "b", "a"])
    assert first == third != second
    assert len(first) == EMBEDDING_DIMENSIONS
    assert sum(part * part for part in first) == pytest.approx(1.0)


@pytest.mark.parametrize("options", [{"ttft": 1.0}, {"ttft_s": "long"}, {"tokens": -1}, {"fail_ratio": True}])
def test_a_wrong_option_is_found_by_the_check(options: Mapping[str, str | int | float | bool]) -> None:
    with pytest.raises(ConfigError, match="option"):
        FakeKind().check(AgentSpec(agent="fake", options=options))
