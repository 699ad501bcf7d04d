"""The life of a request through the gateway: answers, streams, retries, losses, leaving, waiting."""

import asyncio
import contextlib
import gc
import json

import pytest

from tests.gateway.scripted import (
    DONE,
    FINISH,
    HELLO,
    PLAIN,
    TOKENS,
    USAGE,
    Answering,
    Exchange,
    answer_in_tokens,
    answer_plainly,
    event,
    get,
    post,
    scene,
)
from tests.wire.raw import raw, until
from toque.gateway.attempt import Attempt
from toque.gateway.relay import Relay
from toque.model.messages import Abandoned, Failed, Finished
from toque.model.ticket import FailureKind, RefusalReason
from toque.wire.request import Request

STREAM = HELLO | {"stream": True}
STREAM_WITH_USAGE = STREAM | {"stream_options": {"include_usage": True}}


async def test_a_plain_answer_passes_through_with_our_fields() -> None:
    async with scene(answer_plainly) as story:
        story.ask(HELLO, fields="x-request-id: my-id.1\r\n")
        reply = await story.client.answer()
        assert reply.status == 200
        assert json.loads(reply.body) == PLAIN
        assert reply.fields["x-request-id"] == "my-id.1"
        assert reply.fields["x-toque-replica"] == "1"
        assert int(reply.fields["x-toque-queue-ms"]) < 1000
        assert int(reply.fields["openai-processing-ms"]) < 1000
        assert "x-toque-cold-start-ms" not in reply.fields
        await until(lambda: story.records.served)
    (finished,) = story.fleet.events
    assert isinstance(finished, Finished)
    assert (finished.prompt_tokens, finished.output_tokens) == (3, 5)
    (served,) = story.records.served
    assert (served.status, served.outcome, served.attempts, served.replica) == (200, "ok", 1, 1)
    assert story.gateway.recent.find("my-id.1") == served.ticket == 1


async def test_a_chunked_plain_answer_gets_a_length() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        await exchange.chunk(b'{"a"', b":1}")
        await exchange.write(b"0\r\n\r\n")

    async with scene(script) as story:
        story.ask(HELLO)
        reply = await story.client.answer()
        assert reply.fields["content-length"] == "7"
        assert reply.body == b'{"a":1}'


@pytest.mark.parametrize("has_length", [True, False])
async def test_a_large_plain_answer_is_not_held(*, has_length: bool) -> None:
    body = json.dumps({"data": ["x" * 1000] * 1000, "usage": {"prompt_tokens": 7, "total_tokens": 7}}).encode()

    async def script(exchange: Exchange) -> None:
        if has_length:
            await exchange.answer(body)
            return
        await exchange.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        await exchange.chunk(*(body[at : at + 50_000] for at in range(0, len(body), 50_000)))
        await exchange.write(b"0\r\n\r\n")

    async with scene(script) as story:
        story.ask({"model": "chat", "input": "x"}, "/v1/embeddings")
        reply = await story.client.answer()
        assert reply.body == body
        assert ("content-length" in reply.fields) is has_length
        await until(lambda: story.records.served)
    assert story.records.served[0].prompt_tokens == 7


async def test_a_stream_passes_byte_by_byte_without_the_usage_nobody_asked_for() -> None:
    async with scene(answer_in_tokens) as story:
        story.ask(STREAM)
        reply = await story.client.answer()
        assert reply.fields["content-type"].startswith("text/event-stream")
        assert reply.fields["cache-control"] == "no-cache"
        assert reply.fields["x-accel-buffering"] == "no"
        assert reply.body == b"".join([*TOKENS, FINISH, DONE])
        assert story.requests[0].body["stream_options"] == {"include_usage": True}
    (finished,) = story.fleet.events
    assert isinstance(finished, Finished)
    assert (finished.prompt_tokens, finished.output_tokens) == (3, 4)


async def test_a_stream_keeps_the_usage_that_was_asked_for() -> None:
    async with scene(answer_in_tokens) as story:
        story.ask(STREAM_WITH_USAGE)
        assert (await story.client.answer()).body == b"".join([*TOKENS, FINISH, USAGE, DONE])


async def test_one_client_connection_and_one_replica_connection_serve_many_requests() -> None:
    async with scene(answer_in_tokens) as story:
        for _ in range(5):
            story.ask(STREAM)
            assert (await story.client.answer()).body.endswith(DONE)
        assert len({id(exchange.writer) for exchange in story.requests}) == 1


async def test_c08_pipelined_requests_are_answered_in_order() -> None:
    async with scene(answer_plainly) as story:
        story.client.send(post(HELLO, fields="x-request-id: a\r\n") + get("/v1/nothing", "x-request-id: b\r\n"))
        story.client.send(post(HELLO, fields="x-request-id: c\r\n"))
        replies = [await story.client.answer() for _ in range(3)]
        assert [(reply.fields["x-request-id"], reply.status) for reply in replies] == [
            ("a", 200),
            ("b", 404),
            ("c", 200),
        ]


async def test_http_1_0_gets_a_stream_that_ends_with_the_connection() -> None:
    async with scene(answer_in_tokens) as story:
        story.client.send(post(STREAM).replace(b"HTTP/1.1", b"HTTP/1.0"))
        reply = await story.client.answer()
        assert "transfer-encoding" not in reply.fields
        assert reply.body == b"".join([*TOKENS, FINISH, DONE])


async def refuse_plainly(exchange: Exchange) -> None:
    await exchange.answer({"error": {"message": "no"}}, status=400)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "body"), [(answer_in_tokens, STREAM), (answer_plainly, HELLO), (refuse_plainly, HELLO)]
)
async def test_a_request_leaves_no_garbage_for_the_collector(script: Answering, body: dict[str, object]) -> None:
    async with scene(script) as story:
        gc.collect()
        gc.disable()
        try:
            story.ask(body)
            await story.client.answer()
            await until(lambda: story.records.served)
            story.fleet.waiters.clear()
            left = [thing for thing in gc.get_objects() if isinstance(thing, Relay | Attempt)]
            left += [thing for thing in gc.get_objects() if isinstance(thing, Request) and thing.body]
        finally:
            gc.enable()
        assert left == []


# ---- the upstream fails ----------------------------------------------------------------------------------------------


async def cut_at_once(exchange: Exchange) -> None:
    exchange.cut()


async def test_r01_a_loss_before_the_first_byte_is_retried_on_another_replica() -> None:
    for body in (HELLO, STREAM):
        async with scene(cut_at_once, answer_in_tokens if body is STREAM else answer_plainly) as story:
            story.ask(body)
            reply = await story.client.answer()
            assert reply.status == 200
            assert reply.fields["x-toque-replica"] == "2"
        lost, finished = story.fleet.events
        assert lost == Failed(1, FailureKind.LOST, began=False)
        assert isinstance(finished, Finished)
        assert story.records.served[0].attempts == 2


async def test_r01_when_all_are_lost_the_client_gets_502() -> None:
    async with scene(cut_at_once, cut_at_once) as story:
        story.ask(HELLO)
        reply = await story.client.answer()
        assert reply.status == 502
        assert (reply.error["type"], reply.error["code"]) == ("upstream_error", "upstream_lost")
    assert story.fleet.events == [Failed(1, FailureKind.LOST), Failed(1, FailureKind.LOST)]


async def test_r03_half_a_plain_answer_is_retried_for_the_client_has_seen_none_of_it() -> None:
    async def half(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{")
        exchange.cut()

    async with scene(half, answer_plainly) as story:
        story.ask(HELLO)
        assert json.loads((await story.client.answer()).body) == PLAIN


async def test_half_a_large_plain_answer_ends_with_a_cut() -> None:
    async def half(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n")
        await exchange.write(b"x" * 500_000)
        exchange.cut()

    async with scene(half, answer_plainly) as story:
        story.ask(HELLO)
        assert (await story.client.head()).status == 200
        assert len(await story.client.rest()) < 1_000_000
        await until(lambda: story.fleet.events)
    assert story.fleet.events == [Failed(1, FailureKind.LOST, began=True)]


def last_error(body: bytes) -> dict[str, str]:
    """The error event at the end of a stream."""
    assert DONE not in body
    assert body.endswith(b"\n\n")
    return dict(json.loads(body.rstrip().rpartition(b"data: ")[2])["error"])


async def test_r02_a_loss_in_the_middle_of_a_stream_is_an_error_event_and_no_done() -> None:
    seen = asyncio.Event()

    async def die(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(TOKENS[0], TOKENS[1][:-5])
        await seen.wait()
        exchange.cut()

    async with scene(die, answer_in_tokens) as story:
        story.ask(STREAM)
        assert (await story.client.head()).status == 200
        assert await story.client.chunk() == TOKENS[0]
        seen.set()
        error = last_error(await story.client.chunk())
        assert (error["type"], error["code"]) == ("upstream_error", "upstream_lost")
        assert await story.client.chunk() == b""
        assert await story.client.rest() == b""
    assert story.fleet.events == [Failed(1, FailureKind.LOST, began=True)]
    assert story.records.served[0].outcome == "upstream_lost"


@pytest.mark.parametrize("pieces", [TOKENS, [*TOKENS, USAGE]])
async def test_u09_a_clean_end_without_done_or_finish_reason_is_a_failure(pieces: list[bytes]) -> None:
    async def end(exchange: Exchange) -> None:
        await exchange.stream(*pieces)

    async with scene(end) as story:
        story.ask(STREAM)
        assert last_error((await story.client.answer()).body)["code"] == "upstream_lost"
    assert story.fleet.events == [Failed(1, FailureKind.LOST, began=True)]


@pytest.mark.parametrize("pieces", [[*TOKENS, FINISH], [*TOKENS, FINISH, USAGE], [*TOKENS, FINISH, DONE[:-1]]])
async def test_u09_an_end_with_a_finish_reason_is_whole_and_gets_its_done(pieces: list[bytes]) -> None:
    async def end(exchange: Exchange) -> None:
        await exchange.stream(*pieces)

    async with scene(end) as story:
        story.ask(STREAM)
        assert (await story.client.answer()).body == b"".join([*TOKENS, FINISH, DONE])


async def test_u09_an_empty_stream_is_retried() -> None:
    async def nothing(exchange: Exchange) -> None:
        await exchange.stream()

    async with scene(nothing, answer_in_tokens) as story:
        story.ask(STREAM)
        assert (await story.client.answer()).body.endswith(DONE)


async def test_u04_a_5xx_is_retried_and_then_a_502_without_the_upstreams_words() -> None:
    async def fail(exchange: Exchange) -> None:
        await exchange.answer({"error": {"message": "at 0x7f33aabbccdd in /srv/model.py"}}, status=500)

    async with scene(fail, fail) as story:
        story.ask(HELLO)
        reply = await story.client.answer()
        assert reply.status == 502
        assert b"0x7f" not in reply.body
    assert story.fleet.events == [Failed(1, FailureKind.ERROR), Failed(1, FailureKind.ERROR)]


async def test_u05_a_4xx_is_passed_on_without_addresses_and_is_no_failure_of_the_replica() -> None:
    async def refuse(exchange: Exchange) -> None:
        message = "too long for http://10.0.0.7:8080/v1 with key sk-abcdefghijkl"
        await exchange.answer({"error": {"message": message, "param": "messages", "code": 400}}, status=400)

    async with scene(refuse, answer_plainly) as story:
        story.ask(HELLO)
        reply = await story.client.answer()
        assert reply.status == 400
        assert reply.error["param"] == "messages"
        assert "too long" in str(reply.error["message"])
        assert b"10.0.0.7" not in reply.body
        assert b"sk-abc" not in reply.body
        story.ask(STREAM)
        assert (await story.client.answer()).status == 400
    assert story.fleet.events == [Finished(1), Finished(2)]


@pytest.mark.parametrize("status", [401, 403])
async def test_u05_our_wrong_key_is_our_fault(status: int) -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.answer({"error": {"message": "Incorrect API key provided: sk-secret"}}, status=status)

    async with scene(refuse) as story:
        story.ask(HELLO)
        reply = await story.client.answer()
        assert reply.status == 502
        assert b"sk-secret" not in reply.body


async def test_u01_a_busy_replica_is_passed_on_with_its_retry_after() -> None:
    async def busy(exchange: Exchange) -> None:
        fields = "content-type: application/json\r\nretry-after: 2\r\n"
        await exchange.answer({"error": {"message": "slow down"}}, 429, fields)

    async with scene(busy) as story:
        story.ask(HELLO)
        reply = await story.client.answer()
        assert reply.status == 429
        assert reply.error["type"] == "rate_limit_error"
        assert (reply.fields["retry-after"], reply.fields["retry-after-ms"]) == ("2", "2000")
    assert story.fleet.events == [Failed(1, FailureKind.BUSY, retry_after_s=2.0)]


async def test_u03_retry_after_as_a_date_is_understood_and_clipped() -> None:
    async def busy(exchange: Exchange) -> None:
        fields = "date: Wed, 21 Oct 2026 07:28:00 GMT\r\nretry-after: Wed, 21 Oct 2026 08:28:00 GMT\r\n"
        await exchange.answer(b"", 503, fields)

    async with scene(busy) as story:
        story.ask(HELLO)
        reply = await story.client.answer()
        assert (reply.status, reply.fields["retry-after"]) == (503, "60")
    assert story.fleet.events == [Failed(1, FailureKind.BUSY, retry_after_s=60.0)]


async def test_u04_a_503_that_does_not_say_until_when_is_a_failure_like_any_other() -> None:
    async def broken(exchange: Exchange) -> None:
        await exchange.answer(b"no healthy upstream", 503)

    async with scene(broken) as story:
        story.ask(HELLO)
        reply = await story.client.answer()
        assert (reply.status, reply.error["code"], reply.fields["retry-after"]) == (503, "server_is_overloaded", "1")
    assert story.fleet.events[0] == Failed(1, FailureKind.ERROR, retry_after_s=1.0)


@pytest.mark.parametrize(
    "fields",
    ["content-type: text/html\r\n", "content-type: application/json\r\ncontent-encoding: gzip\r\n", "x: y\r\n"],
)
async def test_u10_what_is_no_json_answer_is_a_502(fields: str) -> None:
    async def strange(exchange: Exchange) -> None:
        await exchange.answer(b"<html>", 200, fields)

    async with scene(strange) as story:
        for body in (HELLO, STREAM):
            story.ask(body)
            reply = await story.client.answer()
            assert (reply.status, reply.error["code"]) == (502, "upstream_invalid_response")
    assert story.fleet.events == [Failed(1, FailureKind.INVALID), Failed(2, FailureKind.INVALID)]


async def test_u11_a_redirect_is_not_followed() -> None:
    async def redirect(exchange: Exchange) -> None:
        await exchange.answer(b"", 307, "location: http://127.0.0.1:1/\r\n")

    async with scene(redirect) as story:
        story.ask(HELLO)
        assert (await story.client.answer()).status == 502


async def test_u13_a_replica_that_cannot_be_reached_was_never_sent_anything() -> None:
    async with scene(answer_plainly, answer_plainly) as story:
        gone = story.fleet.endpoints.pop(1)
        story.fleet.endpoints = {1: gone} | story.fleet.endpoints
        story.fleet.is_ours = lambda replica_id: replica_id == 2  # type: ignore[method-assign]
        story.ask(HELLO)
        assert (await story.client.answer()).status == 200
    assert story.fleet.events[0] == Failed(1, FailureKind.NOT_SENT)


async def test_r03_a_replica_that_went_between_grant_and_call_was_never_sent_anything() -> None:
    async with scene(answer_plainly, answer_plainly) as story:
        del story.fleet.endpoints[1]
        story.fleet.holds = True
        story.ask(HELLO)
        await until(lambda: story.fleet.tickets)
        story.fleet.untried[1] = [1, 2]
        story.fleet.grant(1)
        assert (await story.client.answer()).fields["x-toque-replica"] == "2"
    assert story.fleet.events[0] == Failed(1, FailureKind.NOT_SENT)


async def test_c11_a_replica_is_told_how_long_the_client_still_waits() -> None:
    async with scene(answer_plainly) as story:
        story.ask(HELLO, fields="x-toque-timeout-ms: 5000\r\n")
        assert (await story.client.answer()).status == 200
        (line,) = [line for line in story.requests[0].head.split("\r\n") if line.startswith("x-toque-timeout-ms: ")]
        assert 4000 < int(line.partition(": ")[2]) <= 5001


async def test_c11_a_replica_that_keeps_to_the_deadline_is_not_blamed() -> None:
    async def give_up(exchange: Exchange) -> None:
        left_ms = int(exchange.head.partition("x-toque-timeout-ms: ")[2].partition("\r\n")[0])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left_ms / 1000):
                await exchange.gone()
        await exchange.answer({"error": {"message": "too late"}}, 504)

    async with scene(give_up, answer_plainly) as story:
        story.ask(HELLO, fields="x-toque-timeout-ms: 60\r\n")
        reply = await story.client.answer()
        assert (reply.status, reply.error["code"]) == (504, "deadline_exceeded")
    assert story.fleet.events == [Abandoned(1)]


async def test_u02_an_empty_account_is_told_without_a_retry() -> None:
    async def empty(exchange: Exchange) -> None:
        await exchange.answer({"error": {"message": "pay", "code": "insufficient_quota"}}, 429)

    async with scene(empty, answer_plainly) as story:
        story.ask(HELLO)
        reply = await story.client.answer()
        assert (reply.status, reply.error["code"]) == (429, "rate_limit_exceeded")
        assert reply.fields["x-should-retry"] == "false"
        assert b"pay" not in reply.body
    assert story.fleet.events == [Failed(1, FailureKind.DENIED)]


async def test_u08_an_event_without_an_end_is_an_error_and_the_call_is_closed() -> None:
    closed = asyncio.Event()

    async def flood(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(TOKENS[0])
        with contextlib.suppress(ConnectionError):
            for _ in range(40):
                await exchange.chunk(b"x" * 65536)
        await exchange.gone()
        closed.set()

    async with scene(flood) as story:
        story.ask(STREAM)
        assert last_error((await story.client.answer()).body)["code"] == "upstream_invalid_response"
        await asyncio.wait_for(closed.wait(), 5)
    assert story.fleet.events == [Failed(1, FailureKind.INVALID, began=True)]


async def test_u10_an_empty_answer_is_none() -> None:
    async def nothing(exchange: Exchange) -> None:
        await exchange.answer(b"")

    async with scene(nothing) as story:
        story.ask(HELLO)
        assert (await story.client.answer()).error["code"] == "upstream_invalid_response"


async def test_a_refusal_that_is_cut_counts_as_the_refusal_it_was() -> None:
    async def cut(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 400 X\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{")
        exchange.cut()

    async with scene(cut, answer_plainly) as story:
        story.ask(HELLO)
        reply = await story.client.answer()
        assert (reply.status, reply.error["code"]) == (400, "invalid_value")


async def test_r05_silence_in_the_middle_is_an_error_event() -> None:
    async def fall_silent(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(TOKENS[0])
        await exchange.gone()

    async with scene(fall_silent, inter_token_s=0.1) as story:
        story.ask(STREAM)
        error = last_error((await story.client.answer()).body)
        assert (error["type"], error["code"]) == ("timeout_error", "inter_token_timeout")
    assert story.fleet.events == [Failed(1, FailureKind.TIMEOUT, began=True)]


async def test_r04_silence_from_the_start_is_a_504_and_the_call_is_closed() -> None:
    closed = asyncio.Event()

    async def say_nothing(exchange: Exchange) -> None:
        await exchange.gone()
        closed.set()

    async with scene(say_nothing, ttft_s=0.1) as story:
        story.ask(STREAM)
        reply = await story.client.answer()
        assert (reply.status, reply.error["code"]) == (504, "ttft_timeout")
        await asyncio.wait_for(closed.wait(), 5)
    assert story.fleet.events == [Failed(1, FailureKind.TIMEOUT)]


# ---- the client leaves -----------------------------------------------------------------------------------------------


async def test_c07_streams_cut_at_once_leave_no_task_and_no_ticket_behind() -> None:
    crowd = 200

    async def go_on(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(TOKENS[0])
        await exchange.gone()

    async with scene(go_on) as story:
        before = len(asyncio.all_tasks())
        async with contextlib.AsyncExitStack() as stack:
            leavers = [await stack.enter_async_context(raw(story.gateway.port)) for _ in range(crowd)]
            for leaver in leavers:
                leaver.send(post(STREAM))
            for leaver in leavers:
                await leaver.head()
            for leaver in leavers:
                leaver.writer.transport.abort()
            await until(lambda: len(story.fleet.events) == crowd)
        assert {type(event) for event in story.fleet.events} == {Abandoned}
        await until(lambda: len(asyncio.all_tasks()) == before)


@pytest.mark.parametrize("body", [HELLO, STREAM])
@pytest.mark.parametrize("stage", ["before the first byte", "in the middle"])
async def test_c03_and_c04_a_client_that_leaves_stops_the_replica_within_200_ms(
    body: dict[str, object], stage: str
) -> None:
    reached, closed = asyncio.Event(), asyncio.Event()

    async def go_on(exchange: Exchange) -> None:
        if stage == "in the middle":
            if body is STREAM:
                await exchange.begin_stream()
                await exchange.chunk(TOKENS[0])
            else:
                await exchange.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
        reached.set()
        await exchange.gone()
        closed.set()

    async with scene(go_on) as story:
        async with raw(story.gateway.port) as leaver:
            leaver.send(post(body))
            await asyncio.wait_for(reached.wait(), 5)
            if stage == "in the middle" and body is STREAM:
                await leaver.head()
                assert await leaver.chunk() == TOKENS[0]
        left_at = story.fleet.now()
        await asyncio.wait_for(closed.wait(), 5)
        assert story.fleet.now() - left_at < 0.2
        await until(lambda: story.records.served)
    assert story.fleet.events == [Abandoned(1)]
    assert (story.records.served[0].status, story.records.served[0].outcome) == (499, "abandoned")


async def test_a_client_that_leaves_after_done_has_had_its_answer() -> None:
    closed = asyncio.Event()

    async def end_late(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(*TOKENS, FINISH, USAGE, DONE)
        await exchange.gone()
        closed.set()

    async with scene(end_late) as story:
        async with raw(story.gateway.port) as leaver:
            leaver.send(post(STREAM))
            await leaver.head()
            while not (await leaver.chunk()).endswith(DONE):
                pass
        await asyncio.wait_for(closed.wait(), 5)
        await until(lambda: story.records.served)
    (finished,) = story.fleet.events
    assert isinstance(finished, Finished)
    assert (finished.prompt_tokens, finished.output_tokens) == (3, 4)
    assert (story.records.served[0].status, story.records.served[0].outcome) == (200, "ok")


async def test_c04_a_client_that_leaves_while_queued_reaches_no_replica() -> None:
    async with scene(answer_plainly, holds=True) as story:
        async with raw(story.gateway.port) as leaver:
            leaver.send(post(HELLO))
            await until(lambda: story.fleet.tickets)
        await until(lambda: story.fleet.events)
        assert story.requests == []
    assert story.fleet.events == [Abandoned(1)]


async def test_c05_a_slow_reader_pauses_the_replica() -> None:
    sent = 0
    piece = event({"content": "x" * 60_000})

    async def flood(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.begin_stream()
        for _ in range(400):
            await exchange.chunk(piece)
            sent += len(piece)
        await exchange.chunk(DONE)
        await exchange.write(b"0\r\n\r\n")

    async with scene(flood) as story:
        story.ask(STREAM)
        await until(lambda: sent)
        seen, still = 0, 0
        while still < 300:
            await asyncio.sleep(0)
            still = still + 1 if sent == seen else 0
            seen = sent
        assert seen < 20 * 2**20
        assert len((await story.client.answer()).body) == 400 * len(piece) + len(DONE)


# ---- waiting ---------------------------------------------------------------------------------------------------------


async def test_a_held_stream_gets_its_head_and_comments_and_then_its_answer() -> None:
    async with scene(answer_in_tokens, holds=True, heartbeat_s=0.05) as story:
        story.ask(STREAM)
        head = await story.client.head()
        assert head.status == 200
        assert head.fields["content-type"].startswith("text/event-stream")
        assert await story.client.chunk() == b": waiting\n\n"
        story.fleet.grant(1, cold_start_s=0.1)
        body = b""
        while piece := await story.client.chunk():
            body += piece
        assert body == b"".join([*TOKENS, FINISH, DONE])


async def test_a_held_stream_keeps_its_comments_until_the_first_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toque.gateway.relay.HEARTBEAT_EACH_S", 0.05)

    async def say_nothing(exchange: Exchange) -> None:
        await exchange.gone()

    async with scene(say_nothing, holds=True, heartbeat_s=0.05) as story:
        story.ask(STREAM)
        await story.client.head()
        assert await story.client.chunk() == b": waiting\n\n"
        story.fleet.grant(1)
        for _ in range(3):
            assert await story.client.chunk() == b": waiting\n\n"


async def test_a_held_stream_is_refused_by_an_event() -> None:
    async with scene(holds=True, heartbeat_s=0.05) as story:
        story.ask(STREAM)
        await story.client.head()
        assert await story.client.chunk() == b": waiting\n\n"
        story.fleet.waiters[1].refused(RefusalReason.QUEUE_TIMEOUT, 3.0, "")
        assert last_error(await story.client.chunk())["code"] == "queue_timeout"
        assert await story.client.chunk() == b""
        assert await story.client.rest() == b""


async def test_a_plain_request_is_held_in_silence() -> None:
    async with scene(answer_plainly, holds=True, heartbeat_s=0.02) as story:
        story.ask(HELLO)
        await until(lambda: story.fleet.tickets)
        held_at = story.fleet.now()
        await until(lambda: story.fleet.now() > held_at + 0.1)
        story.fleet.grant(1, cold_start_s=0.25)
        reply = await story.client.answer()
        assert reply.status == 200
        assert reply.fields["x-toque-cold-start-ms"] == "250"
        assert int(reply.fields["x-toque-queue-ms"]) >= 99


@pytest.mark.parametrize(
    ("reason", "retry_after_s", "status", "fields"),
    [
        (RefusalReason.QUEUE_FULL, 0.3, 503, {"retry-after": "1", "retry-after-ms": "300"}),
        (RefusalReason.QUEUE_TIMEOUT, 12.2, 503, {"retry-after": "13", "retry-after-ms": "12200"}),
        (RefusalReason.MODEL_LOADING, 4000.0, 503, {"retry-after": "60"}),
        (RefusalReason.NO_CAPACITY, 0.0, 503, {"x-should-retry": "false"}),
        (RefusalReason.DEADLINE_EXCEEDED, 0.0, 504, {"x-should-retry": "false"}),
        (RefusalReason.MODEL_NOT_FOUND, 0.0, 404, {"x-should-retry": "false"}),
    ],
)
async def test_a_refusal_says_whether_and_when_to_come_again(
    reason: RefusalReason, retry_after_s: float, status: int, fields: dict[str, str]
) -> None:
    async with scene(holds=True) as story:
        story.ask(HELLO)
        await until(lambda: story.fleet.waiters)
        story.fleet.waiters[1].refused(reason, retry_after_s, "")
        reply = await story.client.answer()
        assert (reply.status, reply.error["code"]) == (status, reason.value)
        assert {name: reply.fields.get(name) for name in fields} == fields
        story.client.send(get("/livez"))
        assert (await story.client.answer()).status == 200
    assert story.records.served[0].outcome == reason.value


async def test_c11_the_deadline_of_the_client_reaches_the_ticket_and_ends_a_call_in_flight() -> None:
    async def say_nothing(exchange: Exchange) -> None:
        await exchange.gone()

    async with scene(say_nothing) as story:
        sent_at = story.fleet.now()
        story.ask(HELLO, fields="x-toque-timeout-ms: 100\r\n")
        reply = await story.client.answer()
        assert (reply.status, reply.error["code"]) == (504, "deadline_exceeded")
        assert sent_at + 0.09 < story.fleet.tickets[1].deadline <= story.fleet.now() + 0.1
    assert story.fleet.events == [Abandoned(1)]
