"""The pooled agent: the contract over a whole pool, with its queue, its retries and its refusals."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from tests.runtime.scripted import ScriptedDriver, fleet_of, model_of
from toque.model.endpoint import Endpoint
from toque.model.errors import CallerError, RefusedError, UpstreamError
from toque.model.inference import Completion, Delta, FinishReason, PromptContext, Usage
from toque.model.messages import Abandoned, Failed, Finished
from toque.model.spec import PoolSpec, QueueSpec
from toque.model.ticket import ServiceClass
from toque.ports import InferenceAgent
from toque.records.journal import JournalRing
from toque.runtime.agent import PooledAgent, PreemptedError, Turn
from toque.runtime.controller import Controller

USAGE = Usage(3, 2)
HELLO = PromptContext(prompt="Hello")
JOB = PromptContext(prompt="Hello", service_class=ServiceClass.BATCH)


class Script:
    """An agent that does what its script says, one line a call: an answer, or an error to raise."""

    def __init__(self, *lines: str | Exception) -> None:
        self.lines = list(lines)
        self.replicas: list[int] = []
        self.pools: list[str] = []
        self.blocked = asyncio.Event()

    def connect(self, pool: str, replica_id: int, _: Endpoint) -> InferenceAgent:
        self.pools.append(pool)
        self.replicas.append(replica_id)
        return self

    async def generate(self, context: PromptContext) -> Completion:
        line = self.lines.pop(0)
        if isinstance(line, Exception):
            raise line
        if line == "wait":
            self.blocked.set()
            await asyncio.Event().wait()
        return Completion(line, FinishReason.STOP, USAGE)

    async def stream(self, context: PromptContext) -> AsyncGenerator[Delta, None]:
        line = self.lines.pop(0)
        if isinstance(line, Exception):
            raise line
        for word in line.split():
            if word == "lost":
                raise UpstreamError("The replica was lost.")
            yield Delta(word)
        yield Delta("", FinishReason.STOP, USAGE)


class Scene:
    """A pool of one slot over a script, and another that may answer instead."""

    def __init__(self, *lines: str | Exception) -> None:
        self.ring = JournalRing(1000)
        driver = ScriptedDriver()
        pool = PoolSpec("chat", queue=QueueSpec(length_max=1))
        other = PoolSpec("other")
        self.controller = Controller(fleet_of(pool, other), self.ring)
        driver.report = self.controller.report
        self.controller.open({"chat": (driver, model_of(pool)), "other": (driver, model_of(other))})
        self.script = Script(*lines)
        self.agent = PooledAgent("chat", self.controller, self.script.connect)

    def ends(self) -> list[type]:
        """How tickets ended or failed, in order."""
        return [type(event) for _, event, _ in self.ring.steps() if isinstance(event, (Finished, Failed, Abandoned))]


async def test_an_answer_frees_its_slot_and_tells_its_tokens() -> None:
    scene = Scene("hello")
    assert (await scene.agent.generate(HELLO)).text == "hello"
    (finished,) = [event for _, event, _ in scene.ring.steps() if isinstance(event, Finished)]
    assert (finished.prompt_tokens, finished.output_tokens) == (3, 2)
    assert scene.controller.view().pools[0].in_flight == 0


async def test_a_loss_before_the_answer_is_tried_once_more() -> None:
    scene = Scene(UpstreamError("lost"), "hello")
    assert (await scene.agent.generate(HELLO)).text == "hello"
    assert scene.ends() == [Failed, Finished]


async def test_two_losses_are_a_refusal() -> None:
    scene = Scene(UpstreamError("lost"), UpstreamError("lost"))
    with pytest.raises(RefusedError) as caught:
        await scene.agent.generate(HELLO)
    assert caught.value.code == "upstream_lost"


async def test_a_stream_lost_after_its_first_piece_is_not_tried_again() -> None:
    scene = Scene("one lost", "never")
    stream = scene.agent.stream(HELLO)
    assert (await anext(stream)).text == "one"
    with pytest.raises(UpstreamError):
        await anext(stream)
    assert scene.ends() == [Failed]
    assert scene.controller.view().pools[0].in_flight == 0


async def test_a_stream_lost_before_its_first_piece_is_tried_again() -> None:
    scene = Scene(UpstreamError("lost"), "one two")
    assert [delta.text async for delta in scene.agent.stream(HELLO)] == ["one", "two", ""]
    assert scene.ends() == [Failed, Finished]


async def test_leaving_a_stream_gives_the_slot_back() -> None:
    scene = Scene("one two three", "hello")
    stream = scene.agent.stream(HELLO)
    assert (await anext(stream)).text == "one"
    await stream.aclose()
    assert scene.ends() == [Abandoned]
    assert (await scene.agent.generate(HELLO)).text == "hello"


async def test_a_cancelled_call_gives_the_slot_back() -> None:
    scene = Scene("wait", "hello")
    call = asyncio.create_task(scene.agent.generate(HELLO))
    await asyncio.wait_for(scene.script.blocked.wait(), 5)
    call.cancel()
    await asyncio.wait({call})
    assert scene.ends() == [Abandoned]
    assert (await scene.agent.generate(HELLO)).text == "hello"


async def test_what_the_caller_did_wrong_is_no_failure_of_the_replica() -> None:
    scene = Scene(CallerError("no such field"))
    with pytest.raises(CallerError):
        await scene.agent.generate(HELLO)
    assert scene.ends() == [Finished]


async def test_a_full_line_refuses_in_process_as_it_does_over_http() -> None:
    scene = Scene("wait", "hello", "hello")
    first = asyncio.create_task(scene.agent.generate(HELLO))
    await asyncio.wait_for(scene.script.blocked.wait(), 5)
    second = asyncio.create_task(scene.agent.generate(HELLO))
    await asyncio.sleep(0)
    with pytest.raises(RefusedError) as caught:
        await scene.agent.generate(HELLO)
    assert caught.value.code == "queue_full"
    first.cancel()
    assert (await second).text == "hello"


def falling_back(scene: Scene) -> PooledAgent:
    return PooledAgent("chat", scene.controller, scene.script.connect, ("other",))


async def test_u12_another_model_answers_in_process_too_and_is_named() -> None:
    scene = Scene(UpstreamError("lost"), UpstreamError("lost"), "hello")
    completion = await falling_back(scene).generate(HELLO)
    assert (completion.text, completion.fallback) == ("hello", "other")
    assert scene.script.pools == ["chat", "chat", "other"]


async def test_u12_a_stream_falls_back_before_its_first_piece_and_names_it_with_its_last() -> None:
    scene = Scene(UpstreamError("lost"), UpstreamError("lost"), "one two")
    deltas = [delta async for delta in falling_back(scene).stream(HELLO)]
    assert [delta.fallback for delta in deltas] == ["", "", "other"]


async def test_an_answer_of_the_model_that_was_asked_names_no_other() -> None:
    assert (await falling_back(Scene("hello")).generate(HELLO)).fallback == ""


async def test_a_call_of_class_batch_gives_its_slot_to_a_person_and_is_made_again() -> None:
    scene = Scene("wait", "for people", "for the job")
    job = asyncio.create_task(scene.agent.generate(JOB))
    await asyncio.wait_for(scene.script.blocked.wait(), 5)
    assert (await scene.agent.generate(HELLO)).text == "for people"
    assert (await job).text == "for the job"
    assert scene.ends() == [Finished, Finished]
    assert scene.controller.view().pools[0].preempted == 1


async def test_a_slot_that_is_taken_before_its_owner_woke_is_waited_for_anew() -> None:
    turn = Turn("chat")
    waiting = asyncio.create_task(turn.replica())
    await asyncio.sleep(0)
    turn.granted(1, 0.0)
    turn.preempted()
    turn.granted(2, 0.0)
    assert await waiting == 2


async def test_an_answer_or_a_loss_that_crosses_a_preemption_counts_for_nothing() -> None:
    async def crossed(outcome: str | Exception) -> str:
        turn.preempted()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    for outcome in ("hello", UpstreamError("lost")):
        turn = Turn("chat")
        with pytest.raises(PreemptedError):
            await turn.held(crossed(outcome))


async def test_a_stream_of_class_batch_keeps_its_slot_once_it_has_begun() -> None:
    scene = Scene("one two", "for people")
    stream = scene.agent.stream(JOB)
    assert (await anext(stream)).text == "one"
    person = asyncio.create_task(scene.agent.generate(HELLO))
    assert [delta.text async for delta in stream] == ["two", ""]
    assert (await person).text == "for people"
    assert scene.controller.view().pools[0].preempted == 0
