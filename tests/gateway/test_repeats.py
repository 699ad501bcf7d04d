"""C09: the same Idempotency-Key twice, in flight, afterwards, with another body; and what it may cost."""

import hashlib

from tests.gateway.scripted import HELLO, Exchange, answer_plainly, post, scene
from tests.wire.raw import raw, until
from toque.model.service_spec import KeySpec

ONCE = "Idempotency-Key: order-17\r\n"


async def fail(exchange: Exchange) -> None:
    await exchange.answer(b'{"error":{"message":"no"}}', 500)


async def test_c09_the_answer_to_a_key_is_given_again_without_asking_a_replica() -> None:
    async with scene(answer_plainly) as story:
        story.ask(HELLO, fields=ONCE)
        first = await story.client.answer()
        story.ask(HELLO, fields=ONCE)
        second = await story.client.answer()
        assert (first.status, second.status) == (200, 200)
        assert second.body == first.body
        assert "idempotent-replayed" not in first.fields
        assert second.fields["idempotent-replayed"] == "true"
        assert second.fields["x-request-id"] != first.fields["x-request-id"]
        assert len(story.requests) == 1
        assert [one.outcome for one in story.records.served] == ["ok", "replayed"]


async def test_c09_a_key_in_flight_gets_409_and_the_answer_once_it_is_there() -> None:
    async with scene(answer_plainly, holds=True) as story, raw(story.gateway.port) as other:
        story.ask(HELLO, fields=ONCE)
        await until(lambda: story.fleet.tickets)
        other.send(post(HELLO, fields=ONCE))
        refused = await other.answer()
        assert (refused.status, refused.error["code"]) == (409, "idempotency_in_progress")
        assert refused.fields["retry-after"] == "1"
        story.fleet.grant(1)
        assert (await story.client.answer()).status == 200
        other.send(post(HELLO, fields=ONCE))
        assert (await other.answer()).fields["idempotent-replayed"] == "true"


async def test_c09_another_request_under_the_same_key_is_a_mismatch() -> None:
    async with scene(answer_plainly) as story:
        story.ask(HELLO, fields=ONCE)
        await story.client.answer()
        story.ask({**HELLO, "seed": 7}, fields=ONCE)
        answer = await story.client.answer()
        assert (answer.status, answer.error["code"]) == (422, "idempotency_mismatch")
        assert len(story.requests) == 1


async def test_c09_what_failed_may_be_tried_again_and_so_may_what_nobody_waited_for() -> None:
    async with scene(fail, answer_plainly) as story:
        story.ask(HELLO, fields=ONCE)
        assert (await story.client.answer()).status == 200  # the second replica answered
    async with scene(fail) as story:
        for asked in (1, 2):
            story.ask(HELLO, fields=ONCE)
            assert (await story.client.answer()).status == 502
            assert len(story.requests) == asked
    async with scene(answer_plainly, holds=True) as story:
        async with raw(story.gateway.port) as leaving:
            leaving.send(post(HELLO, fields=ONCE))
            await until(lambda: story.fleet.tickets)
        await until(lambda: story.fleet.events)
        story.ask(HELLO, fields=ONCE)
        await until(lambda: len(story.fleet.tickets) == 2)
        story.fleet.grant(2)
        assert (await story.client.answer()).status == 200


async def test_c09_a_key_is_its_tenants_own() -> None:
    keys = tuple(KeySpec(name, hashlib.sha256(name.encode()).hexdigest()) for name in ("alice", "bob"))
    async with scene(answer_plainly, keys=keys) as story:
        for asked, name in enumerate(("alice", "bob"), 1):
            story.ask(HELLO, fields=f"{ONCE}Authorization: Bearer {name}\r\n")
            assert "idempotent-replayed" not in (await story.client.answer()).fields
            assert len(story.requests) == asked


async def test_c09_streams_and_odd_keys_are_refused_with_a_reason() -> None:
    async with scene(answer_plainly) as story:
        for body, fields, reason in (
            ({**HELLO, "stream": True}, ONCE, "stream: false"),
            (HELLO, f"Idempotency-Key: {'x' * 256}\r\n", "1 to 255"),
            (HELLO, "Idempotency-Key: \r\n", "1 to 255"),
        ):
            story.ask(body, fields=fields)
            answer = await story.client.answer()
            assert (answer.status, answer.error["param"]) == (400, "Idempotency-Key")
            assert reason in str(answer.error["message"])
        assert not story.requests


async def test_c09_the_oldest_answers_make_room_and_large_ones_are_not_kept() -> None:
    async with scene(answer_plainly, idempotency_answers_max=2) as story:
        for key in ("a", "b", "c", "c", "a"):
            story.ask(HELLO, fields=f"Idempotency-Key: {key}\r\n")
            await story.client.answer()
        assert len(story.requests) == 4  # a, b, c, and a once more
    async with scene(answer_plainly, idempotency_bytes_max=10) as story:
        for asked in (1, 2):
            story.ask(HELLO, fields=ONCE)
            await story.client.answer()
            assert len(story.requests) == asked


async def test_c09_an_answer_too_large_to_hold_is_not_kept() -> None:
    async def large(exchange: Exchange) -> None:
        await exchange.answer({"choices": [], "text": "x" * 40_000})

    async with scene(large, stream_buffer_bytes=16_384) as story:
        for asked in (1, 2):
            story.ask(HELLO, fields=ONCE)
            assert (await story.client.answer()).status == 200
            assert len(story.requests) == asked


async def test_c09_an_answer_is_forgotten_when_its_time_is_over() -> None:
    async with scene(answer_plainly, idempotency_s=0.001) as story:
        for asked in (1, 2):
            story.ask(HELLO, fields=ONCE)
            assert (await story.client.answer()).status == 200
            assert len(story.requests) == asked
            now = story.fleet.now()
            await until(lambda now=now: story.fleet.now() > now + 0.01)
