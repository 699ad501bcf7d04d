"""The listening side on real sockets: order, limits, refusals, timeouts, drain. Ids as in the fault catalogue."""

import asyncio
import contextlib
import dataclasses
import socket
from collections.abc import AsyncIterator

import pytest

from tests.wire.raw import raw, until
from toque.model.service_spec import LimitSpec
from toque.wire.incoming import Exchange, Incoming
from toque.wire.request import Request
from toque.wire.server import Server, serve

LIMITS = LimitSpec()
HOST = b"Host: toque.test\r\n"


def answer(connection: Incoming, body: bytes) -> None:
    closing = b"connection: close\r\n" if connection.is_last else b""
    connection.write(b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n%b" % (closing, len(body), body))
    connection.finish()


def echo(request: Request, connection: Incoming) -> None:
    """Answer at once with what was asked."""
    answer(connection, b"%b %b %b" % (request.head.method, request.head.target, request.body))


class Held:
    """Answers when told to, and notes what it hears."""

    def __init__(self) -> None:
        self.open: list[tuple[Request, Incoming]] = []
        self.heard: list[str] = []

    def __call__(self, request: Request, connection: Incoming) -> Exchange:
        self.open.append((request, connection))
        return self

    def release(self) -> None:
        request, connection = self.open.pop(0)
        answer(connection, request.head.target)

    def client_left(self) -> None:
        self.heard.append("left")

    def pause_writing(self) -> None:
        self.heard.append("paused")

    def resume_writing(self) -> None:
        self.heard.append("resumed")

    def tick(self) -> None:
        self.heard.append("tick")

    def cut_off(self) -> None:
        self.heard.append("cut off")
        answer(self.open.pop(0)[1], b"cut off")


@contextlib.asynccontextmanager
async def serving(handler: object = echo, *, sweep_s: float = 0.02, **limits: float) -> AsyncIterator[Server]:
    spec = dataclasses.replace(LIMITS, **limits)  # type: ignore[arg-type]
    server = await serve(("127.0.0.1", 0), handler, spec, sweep_s=sweep_s)  # type: ignore[arg-type]
    try:
        yield server
    finally:
        await server.close()


async def test_one_connection_serves_many_requests() -> None:
    async with serving() as server, raw(server.port) as client:
        for number in range(3):
            client.send(b"POST /%d HTTP/1.1\r\n" % number, HOST, b"Content-Length: 2\r\n\r\nhi")
            reply = await client.answer()
            assert (reply.status, reply.body) == (200, b"POST /%d hi" % number)
            assert "connection" not in reply.fields


async def test_a_request_split_at_every_byte_is_the_same() -> None:
    request = (
        b"POST /a HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n4;x=1\r\n you\r\n0\r\nT: 1\r\n\r\n"
    )
    async with serving() as server, raw(server.port) as client:
        for at in range(1, len(request)):
            client.send(request[:at])
            await client.writer.drain()
            await asyncio.sleep(0)
            client.send(request[at:])
            assert (await client.answer()).body == b"POST /a hi you"


async def test_c08_pipelined_requests_are_answered_in_order() -> None:
    async with serving() as server, raw(server.port) as client:
        client.send(*(b"GET /%d HTTP/1.1\r\n%b\r\n" % (number, HOST) for number in range(20)))
        assert [(await client.answer()).body for _ in range(20)] == [b"GET /%d " % number for number in range(20)]


async def test_c08_a_hundred_at_once_are_never_mixed_and_the_connection_ends_after_the_last_answered() -> None:
    held = Held()
    async with serving(held) as server, raw(server.port) as client:
        client.send(b"".join(b"GET /%d HTTP/1.1\r\n%b\r\n" % (number, HOST) for number in range(100)))
        answered = []
        while True:
            await until(lambda: held.open)
            assert len(held.open) == 1, "one at a time"
            held.release()
            reply = await client.answer()
            answered.append(reply.body)
            if "connection" in reply.fields:
                break
        assert answered == [b"/%d" % number for number in range(len(answered))]
        assert await client.rest() == b""


SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        b"Content-Length: +5\r\n\r\nabcde",
        b"Content-Length: 3, 3\r\n\r\nabc",
        b"Content-Length : 3\r\n\r\nabc",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: identity\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        b"X: a\r\n b\r\n\r\n",
        b"X: a\nY: b\r\n\r\n",
        b"X: a\x00b\r\n\r\n",
        b": empty name\r\n\r\n",
        b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
    ],
)
async def test_h01_ambiguous_requests_are_refused_and_nothing_behind_them_is_served(fields: bytes) -> None:
    served = []

    def note(request: Request, connection: Incoming) -> None:
        served.append(request.head.target)
        answer(connection, b"")

    async with serving(note) as server, raw(server.port) as client:
        client.send(b"POST /a HTTP/1.1\r\n" + HOST + fields + SMUGGLED)
        reply = await client.answer()
        assert reply.status == 400
        assert reply.fields["connection"] == "close"
        assert reply.error["type"] == "invalid_request_error"
        assert await client.rest() == b""
    assert served == []


@pytest.mark.parametrize(
    "fields",
    [b"", HOST + HOST, *(b"Host: " + bad + b"\r\n" for bad in (b"a/b", b"a?b", b"a#b", b"u@a", b"a b", b"", b"a:b"))],
)
async def test_h02_host_must_be_there_once_and_well_formed(fields: bytes) -> None:
    async with serving() as server, raw(server.port) as client:
        client.send(b"GET / HTTP/1.1\r\n" + fields + b"\r\n")
        assert (await client.answer()).status == 400


@pytest.mark.parametrize("host", [b"a.example:8080", b"127.0.0.1", b"[::1]:80", b"LOCALHOST"])
async def test_h02_ordinary_hosts_pass(host: bytes) -> None:
    async with serving() as server, raw(server.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        assert (await client.answer()).status == 200


@pytest.mark.parametrize(
    ("request_line", "fields", "status", "code"),
    [
        (b"GET /" + b"x" * 8192, b"", 414, "uri_too_long"),
        (b"GET /", b"A: " + b"x" * 33_000 + b"\r\n", 431, "header_too_large"),
        (b"GET /", b"".join(b"A%d: 1\r\n" % number for number in range(101)), 431, "header_too_large"),
        (b"POST /", b"Content-Length: 67108865\r\n", 413, "request_too_large"),
        (b"GET /", b"A: " + b"x" * 4_000_000, 431, "header_too_large"),
        (b"CONNECT a:1", b"", 405, "method_not_allowed"),
    ],
)
async def test_h04_and_h05_too_much_is_refused_before_it_is_read(
    request_line: bytes, fields: bytes, status: int, code: str
) -> None:
    async with serving() as server, raw(server.port) as client:
        client.send(request_line + b" HTTP/1.1\r\n" + HOST + fields + b"\r\n")
        reply = await client.answer()
        assert reply.status == status
        assert reply.error["code"] == code
        assert reply.fields["connection"] == "close"


async def test_h05_a_chunked_body_is_refused_at_the_limit() -> None:
    async with serving(body_bytes_max=1024) as server, raw(server.port) as client:
        client.send(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(5):
            client.send(b"100\r\n%b\r\n" % (b"x" * 256))
        assert (await client.answer()).status == 413


async def test_h05_endless_chunk_extensions_are_refused_too() -> None:
    async with serving(body_bytes_max=1024) as server, raw(server.port) as client:
        client.send(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(600):
                client.send(b"1;%b\r\nx\r\n" % (b"e" * 4096))
                await client.writer.drain()
        assert (await client.answer()).status == 413


async def test_c10_continue_is_sent_only_for_a_body_that_may_come() -> None:
    async with serving(body_bytes_max=1024) as server:
        async with raw(server.port) as client:
            client.send(b"POST /a HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            assert (await client.head()).status == 100
            client.send(b"hi")
            assert (await client.answer()).body == b"POST /a hi"
        async with raw(server.port) as client:
            client.send(b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 2000\r\n\r\n")
            assert (await client.answer()).status == 413


async def test_c01_a_header_that_comes_too_slowly_gets_408() -> None:
    async with serving(header_read_s=0.1) as server, raw(server.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHo")
        reply = await client.answer()
        assert reply.status == 408
        assert reply.error["code"] == "request_timeout"
        assert await client.rest() == b""


async def test_c02_a_body_that_comes_too_slowly_gets_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toque.wire.incoming.BODY_GRACE_S", 0.1)
    async with serving() as server, raw(server.port) as client:
        client.send(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\n")
        assert (await client.answer()).status == 408


async def test_c03_a_client_that_leaves_is_heard_at_once() -> None:
    held = Held()
    async with serving(held) as server:
        async with raw(server.port) as client:
            client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            await until(lambda: held.open)
        await until(lambda: "left" in held.heard)


async def test_c06_closing_one_half_counts_as_leaving() -> None:
    held = Held()
    async with serving(held) as server, raw(server.port) as client:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        await until(lambda: held.open)
        client.writer.write_eof()
        await until(lambda: "left" in held.heard)


async def test_c05_a_slow_reader_pauses_the_exchange_and_is_cut_off_in_the_end() -> None:
    held = Held()
    async with serving(held, slow_reader_s=0.1) as server, raw(server.port) as client:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        await until(lambda: held.open)
        _, connection = held.open[0]
        for _ in range(400):
            connection.write(b"x" * 65536)
        assert "paused" in held.heard
        await until(lambda: "left" in held.heard)


async def test_c12_idle_connections_are_closed() -> None:
    async with serving(keep_alive_s=0.1) as server, raw(server.port) as client:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await client.answer()).status == 200
        assert await client.rest() == b""


async def test_c12_connections_beyond_the_limit_get_503_and_those_open_go_on() -> None:
    async with serving(connections_max=1) as server, raw(server.port) as first:
        first.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await first.answer()).status == 200
        async with raw(server.port) as second:
            reply = await second.answer()
            assert reply.status == 503
            assert reply.error["code"] == "server_is_overloaded"
            assert reply.fields["retry-after"] == "1"
        first.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await first.answer()).status == 200


async def test_h13_an_upgrade_is_ignored_body_and_all() -> None:
    async with serving() as server, raw(server.port) as client:
        client.send(
            b"POST /a HTTP/1.1\r\n",
            HOST,
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nContent-Length: 2\r\n\r\n",
        )
        client.send(b"hi")
        assert (await client.answer()).body == b"POST /a hi"
        client.send(b"GET /b HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await client.answer()).body == b"GET /b "


@pytest.mark.parametrize(
    "content", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"hello\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n"]
)
async def test_h13_what_is_not_http_gets_400(content: bytes) -> None:
    async with serving() as server, raw(server.port) as client:
        client.send(content)
        assert (await client.answer()).status == 400


async def test_http_1_0_is_answered_and_closed() -> None:
    async with serving() as server, raw(server.port) as client:
        client.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        reply = await client.answer()
        assert reply.body == b"GET /a "
        assert reply.fields["connection"] == "close"
        assert await client.rest() == b""


async def test_drain_lets_the_rest_finish_and_closes_idle_connections() -> None:
    held = Held()
    async with serving(held) as server, raw(server.port) as busy, raw(server.port) as idle:
        port = server.port
        busy.send(b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n")
        await until(lambda: held.open and server.connection_count == 2)
        drained = asyncio.create_task(server.drain(5))
        assert await idle.rest() == b""
        held.release()
        reply = await busy.answer()
        assert (reply.body, reply.fields["connection"]) == (b"/a", "close")
        await drained
        assert server.connection_count == 0
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_drain_cuts_off_what_does_not_finish_in_time() -> None:
    held = Held()
    async with serving(held) as server, raw(server.port) as client:
        client.send(b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n")
        await until(lambda: held.open)
        await server.drain(0.05)
        assert (await client.answer()).body == b"cut off"


async def test_the_sweep_runs_only_while_there_are_connections() -> None:
    held = Held()
    async with serving(held) as server:
        assert server._sweeping is None
        async with raw(server.port) as client:
            client.send(b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n")
            await until(lambda: "tick" in held.heard)
        await until(lambda: server._sweeping is None)


async def test_it_serves_on_a_socket_that_is_bound_already() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        server = await serve(bound, echo, LIMITS)
        async with raw(server.port) as client:
            client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            assert (await client.answer()).status == 200
        await server.close()
        with pytest.raises(RuntimeError):
            _ = server.port
