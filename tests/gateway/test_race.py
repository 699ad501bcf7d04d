"""Two replicas asked the same: the first answer counts, and the other call is closed."""

import asyncio

from tests.gateway.scripted import (
    HELLO,
    PLAIN,
    Answering,
    Exchange,
    answer_in_tokens,
    answer_plainly,
    scene,
)
from tests.wire.raw import until
from toque.model.messages import Abandoned, Failed, Finished
from toque.model.ticket import FailureKind
from toque.ports import Dialect

LARGE = PLAIN | {"padding": "x" * 2**19}


class Held:
    """A replica that says nothing until it is told how to answer, and knows when its caller has gone."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self.may_answer = asyncio.Event()
        self.has_gone = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        gone = asyncio.ensure_future(exchange.gone())
        told = asyncio.ensure_future(self.may_answer.wait())
        await asyncio.wait({gone, told}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            self.has_gone.set()
            told.cancel()
        else:
            gone.cancel()
            await self._answering(exchange)


async def answer_largely(exchange: Exchange) -> None:
    await exchange.answer(LARGE)


async def cut(exchange: Exchange) -> None:
    exchange.cut()


async def blame_the_caller(exchange: Exchange) -> None:
    await exchange.answer({"error": {"message": "too long"}}, 400)


async def test_the_second_replica_answers_first_and_the_first_call_is_closed() -> None:
    first = Held(answer_plainly)
    async with scene(first, answer_plainly) as story:
        story.ask(HELLO)
        await until(lambda: len(story.requests) == 1)
        story.fleet.waiters[1].seconded(2)
        reply = await story.client.answer()
        assert (reply.status, reply.fields["x-toque-replica"]) == (200, "2")
        await first.has_gone.wait()
        (finished,) = story.fleet.events
        assert isinstance(finished, Finished)
        assert (finished.replica_id, finished.output_tokens) == (2, 5)
        assert story.records.served[0].attempts == 1, "a second call is no retry"


async def test_the_first_replica_answers_after_all_and_a_large_answer_is_not_mixed() -> None:
    first, second = Held(answer_largely), Held(answer_plainly)
    async with scene(first, second) as story:
        story.ask(HELLO)
        await until(lambda: len(story.requests) == 1)
        story.fleet.waiters[1].seconded(2)
        await until(lambda: len(story.requests) == 2)
        first.may_answer.set()
        reply = await story.client.answer()
        assert (reply.status, reply.fields["x-toque-replica"]) == (200, "1")
        assert len(reply.body) > 2**19
        await second.has_gone.wait()


async def test_an_answer_that_is_collected_from_a_stream_races_too() -> None:
    dialects = {"chat": Dialect(frozenset({"/chat/completions"}), frozenset({"messages"}), streams_only=True)}
    first = Held(answer_in_tokens)
    async with scene(first, answer_in_tokens, dialects=dialects) as story:
        story.ask(HELLO)
        await until(lambda: len(story.requests) == 1)
        story.fleet.waiters[1].seconded(2)
        assert (await story.client.answer()).fields["x-toque-replica"] == "2"
        await first.has_gone.wait()


async def test_one_that_fails_leaves_the_race_to_the_other() -> None:
    first, second = Held(cut), Held(answer_plainly)
    async with scene(first, second) as story:
        story.ask(HELLO)
        await until(lambda: len(story.requests) == 1)
        story.fleet.waiters[1].seconded(2)
        await until(lambda: len(story.requests) == 2)
        first.may_answer.set()
        await until(lambda: story.fleet.events)
        assert story.fleet.events == [Failed(1, FailureKind.LOST, replica_id=1)]
        second.may_answer.set()
        assert (await story.client.answer()).fields["x-toque-replica"] == "2"


async def test_a_second_replica_that_is_gone_already_is_told_and_changes_nothing() -> None:
    first = Held(answer_plainly)
    async with scene(first) as story:
        story.ask(HELLO)
        await until(lambda: len(story.requests) == 1)
        story.fleet.waiters[1].seconded(9)
        assert story.fleet.events == [Failed(1, FailureKind.NOT_SENT, replica_id=9)]
        first.may_answer.set()
        assert (await story.client.answer()).fields["x-toque-replica"] == "1"


async def test_who_blames_the_caller_has_answered() -> None:
    first, second = Held(answer_plainly), Held(blame_the_caller)
    async with scene(first, second) as story:
        story.ask(HELLO)
        await until(lambda: len(story.requests) == 1)
        story.fleet.waiters[1].seconded(2)
        await until(lambda: len(story.requests) == 2)
        second.may_answer.set()
        assert (await story.client.answer()).status == 400
        assert story.fleet.events == [Finished(1, replica_id=2)]
        await first.has_gone.wait()


async def test_a_client_that_leaves_closes_both_calls() -> None:
    first, second = Held(answer_plainly), Held(answer_plainly)
    async with scene(first, second) as story:
        story.ask(HELLO)
        await until(lambda: len(story.requests) == 1)
        story.fleet.waiters[1].seconded(2)
        await until(lambda: len(story.requests) == 2)
        story.client.writer.transport.abort()
        await first.has_gone.wait()
        await second.has_gone.wait()
        assert story.fleet.events == [Abandoned(1)]
