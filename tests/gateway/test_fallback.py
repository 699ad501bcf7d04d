"""Fallback through the gateway: another model's dialect, the header, who may be asked instead, and what the records say."""

import hashlib
from dataclasses import replace

import pytest

from tests.gateway.scripted import (
    DIALECTS,
    DONE,
    FINISH,
    HELLO,
    TOKENS,
    Exchange,
    Scene,
    answer_in_tokens,
    answer_plainly,
    scene,
)
from tests.wire.raw import until
from toque.core.fallback import WaysOut
from toque.model.errors import RefusedError
from toque.model.fallback_spec import FallbackSpec
from toque.model.messages import Failed, Finished
from toque.model.service_spec import KeySpec
from toque.model.spec import PoolSpec
from toque.model.ticket import FailureKind, FallbackCause, RefusalReason
from toque.records.access_line import plain_line

CHAT = PoolSpec("chat", fallback=FallbackSpec(("other",)))
HERE = WaysOut([CHAT, PoolSpec("other")])
ELSEWHERE = WaysOut([CHAT, PoolSpec("other", hosted=True)])
STREAM = HELLO | {"stream": True}


def key(*models: str, may_leave: bool = False) -> KeySpec:
    return KeySpec("somebody", hashlib.sha256(b"k").hexdigest(), frozenset(models), may_leave=may_leave)


async def whole(story: Scene) -> bytes:
    """A stream to its end."""
    answer = b""
    while not answer.endswith(DONE):
        answer += await story.client.chunk()
    return answer


async def break_down(exchange: Exchange) -> None:
    await exchange.answer({"error": {"message": "broken"}}, 500)


async def test_u12_the_fallback_is_asked_in_its_own_dialect_and_named_in_a_header() -> None:
    async with scene(break_down, answer_plainly, ways=HERE) as story:
        story.ask(HELLO | {"grammar": "root ::= x"})
        reply = await story.client.answer()
        assert (reply.status, reply.fields["x-toque-fallback"]) == (200, "other")
        await until(lambda: story.records.served)
    asked, answered = (exchange.body for exchange in story.requests)
    assert (asked["model"], "grammar" in asked) == ("chat", False)
    assert (answered["model"], answered["grammar"]) == ("upstream-name", "root ::= x")
    assert [type(event) for event in story.fleet.events] == [Failed, Finished]
    (served,) = story.records.served
    assert (served.model, served.asked, served.fallback, served.attempts) == ("other", "chat", "failure", 2)
    assert story.records.fallbacks == {("chat", "other", "failure"): 1}
    assert b"instead of chat (failure)" in plain_line(0.0, served)


async def test_an_answer_of_the_model_that_was_asked_names_no_fallback() -> None:
    async with scene(answer_plainly, ways=HERE) as story:
        story.ask(HELLO)
        assert "x-toque-fallback" not in (await story.client.answer()).fields
        assert story.fleet.tickets[1].fallbacks == ("other",)
        await until(lambda: story.records.served)
    assert story.records.fallbacks == {}


async def test_a_stream_falls_back_before_its_first_byte() -> None:
    async with scene(break_down, answer_in_tokens, ways=HERE) as story:
        story.ask(STREAM)
        head = await story.client.head()
        assert head.fields["x-toque-fallback"] == "other"
        answer = await whole(story)
        assert answer.startswith(TOKENS[0])
        assert b"fallback" not in answer


async def test_a_stream_falls_back_no_more_after_its_first_byte() -> None:
    async def break_off(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(TOKENS[0])
        exchange.cut()

    async with scene(break_off, answer_in_tokens, ways=HERE) as story:
        story.ask(STREAM)
        await story.client.head()
        assert await story.client.chunk() == TOKENS[0]
        assert b"upstream_lost" in await story.client.chunk()
    assert story.fleet.events == [Failed(1, FailureKind.LOST, began=True)]


async def test_a_held_stream_tells_its_fallback_in_a_comment_for_its_head_is_out() -> None:
    async with scene(answer_in_tokens, holds=True, heartbeat_s=0.02, ways=HERE) as story:
        story.ask(STREAM)
        await story.client.head()
        assert await story.client.chunk() == b": waiting\n\n"
        story.fleet.waiters[1].diverted("other", FallbackCause.PATIENCE)
        story.fleet.grant(1)
        answer = await whole(story)
        assert b": fallback other\n\n" in answer
        assert FINISH in answer
    assert story.requests[0].body["model"] == "upstream-name"


async def test_a_path_that_a_fallback_does_not_answer_is_not_taken_there() -> None:
    async with scene(answer_plainly, ways=HERE) as story:
        story.ask({"model": "chat", "input": "x"}, "/v1/embeddings")
        await story.client.answer()
        assert story.fleet.tickets[1].fallbacks == ()


@pytest.mark.parametrize(
    ("ways", "keys", "keyless", "fallbacks"),
    [
        (ELSEWHERE, (), False, ()),
        (ELSEWHERE, (), True, ("other",)),
        (ELSEWHERE, (key(),), True, ()),
        (ELSEWHERE, (key(may_leave=True),), False, ("other",)),
        (HERE, (key(),), False, ("other",)),
        (HERE, (key("chat"),), False, ()),
        (HERE, (key("chat", "other"),), False, ("other",)),
        (WaysOut([replace(CHAT, local_only=True), PoolSpec("other", hosted=True)]), (key(may_leave=True),), True, ()),
    ],
)
async def test_u12_only_who_may_is_taken_elsewhere(
    ways: WaysOut, keys: tuple[KeySpec, ...], keyless: bool, fallbacks: tuple[str, ...]
) -> None:
    async with scene(answer_plainly, keys=keys, ways=ways, keyless_may_leave=keyless) as story:
        story.ask(HELLO, fields="x-api-key: k\r\n")
        assert (await story.client.answer()).status == 200
        assert story.fleet.tickets[1].fallbacks == fallbacks


async def test_a_refusal_says_why_no_fallback_took_it() -> None:
    why = "other would exceed the spending limit of 2 an hour"
    async with scene(holds=True, ways=HERE) as story:
        story.ask(HELLO)
        await until(lambda: story.fleet.waiters)
        story.fleet.waiters[1].refused(RefusalReason.QUEUE_FULL, 1.0, why)
        reply = await story.client.answer()
        assert (reply.status, reply.error["code"]) == (503, "queue_full")
        assert str(reply.error["message"]).endswith(f"No fallback took it: {why}.")


async def test_what_the_last_replica_said_comes_with_why_no_fallback_took_it() -> None:
    async with scene(break_down, ways=HERE) as story:
        story.fleet.obstacle = "other takes nothing now"
        story.ask(HELLO)
        reply = await story.client.answer()
        assert reply.status == 502
        assert str(reply.error["message"]).endswith("Try again. No fallback took it: other takes nothing now.")


def test_a_refusal_without_fallbacks_reads_as_ever() -> None:
    assert "fallback" not in RefusedError(RefusalReason.QUEUE_FULL).message


async def test_a_fallback_that_takes_less_than_was_asked_is_passed_over() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://pictures.example.com/1.png"}}
    dialects = {"chat": replace(DIALECTS["chat"], addresses=True), "other": DIALECTS["other"]}
    async with scene(break_down, answer_plainly, ways=HERE, dialects=dialects) as story:
        story.ask(HELLO | {"messages": [{"role": "user", "content": [picture]}]})
        reply = await story.client.answer()
        assert reply.status == 502, "what the one that was asked said is told"
    assert [event.kind for event in story.fleet.events if isinstance(event, Failed)] == ["error", "denied"]
    assert len(story.requests) == 1
