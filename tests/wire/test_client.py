"""Connections to a replica, against a scripted one on a real socket."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
import uvloop

from tests.wire.raw import until
from tests.wire.scripted import Script, read_request, replica
from toque.drivers.health import Health
from toque.model.agent_spec import Secret
from toque.model.endpoint import Endpoint
from toque.model.ticket import FailureKind
from toque.wire.call import CallLostError, call
from toque.wire.client import Call, Headers
from toque.wire.connection import HEAD_BYTES_MAX
from toque.wire.connections import Connections, encode_head

PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello"


async def answer_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_request(reader)
        writer.write(PLAIN)


def answer(content: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(content)

    return script


class Heard(Call):
    """Notes what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.status = 0
        self.headers: Headers = {}
        self.body = b""
        self.loss: FailureKind | None = None
        self.over = asyncio.Event()

    def on_head(self, status: int, headers: Headers) -> None:
        self.status, self.headers = status, headers

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_end(self) -> None:
        self.over.set()

    def on_lost(self, kind: FailureKind) -> None:
        self.loss = kind
        self.over.set()


async def send(connections: Connections) -> Heard:
    heard = Heard()
    connections.send(heard, encode_head(connections.endpoint, "GET", "/x") + b"\r\n")
    async with asyncio.timeout(20):
        await heard.over.wait()
    return heard


@contextlib.asynccontextmanager
async def connected(script: Script) -> AsyncIterator[Connections]:
    async with replica(script) as endpoint:
        connections = Connections(endpoint)
        try:
            yield connections
        finally:
            await connections.close()


def test_the_head_names_host_key_and_path_and_nothing_else() -> None:
    endpoint = Endpoint("api.example.com", 443, "/v1", secure=True, key=Secret("k"))
    assert encode_head(endpoint, "POST", "/a") == (
        b"POST /v1/a HTTP/1.1\r\nhost: api.example.com\r\nauthorization: Bearer k\r\n"
    )
    assert b"host: [::1]:81\r\n" in encode_head(Endpoint("::1", 81), "GET", "/")


async def test_one_connection_is_used_again_and_has_no_delay() -> None:
    opened = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        await answer_plainly(reader, writer)

    async with connected(script) as connections:
        for _ in range(3):
            heard = await send(connections)
            assert (heard.status, heard.body) == (200, b"hello")
        (connection,) = connections._idle
        assert connection._transport is not None
        assert connection._transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert opened == 1


async def test_idle_connections_are_bounded() -> None:
    async with replica(answer_plainly) as endpoint:
        connections = Connections(endpoint, idle_max=2)
        await asyncio.gather(*(send(connections) for _ in range(5)))
        assert len(connections._idle) == 2
        await connections.close()
    assert not connections._open


async def test_u13_a_refused_connection_was_never_sent() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        connections = Connections(Endpoint("127.0.0.1", held.getsockname()[1]))
        assert (await send(connections)).loss is FailureKind.NOT_SENT


async def test_u13_an_unknown_host_was_never_sent() -> None:
    assert (await send(Connections(Endpoint("host.invalid", 80)))).loss is FailureKind.NOT_SENT


async def test_r11_a_stranger_on_the_port_gets_no_byte() -> None:
    received = asyncio.get_running_loop().create_future()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            received.set_result(await reader.read())
        if not received.done():
            received.set_result(b"")

    async with replica(script) as endpoint:
        connections = Connections(endpoint, is_ours=lambda: False)
        assert (await send(connections)).loss is FailureKind.NOT_SENT
        assert await received == b""
        await connections.close()


async def test_u14_an_idle_connection_closed_just_now_is_replaced_without_a_word() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(PLAIN)
        await read_request(reader)  # the second request is read, and the connection closed without an answer

    async with connected(script) as connections:
        for _ in range(20):
            heard = await send(connections)
            assert heard.body == b"hello"
            assert heard.loss is None


async def test_a_fresh_connection_that_closes_unanswered_is_lost() -> None:
    async with connected(answer(b"")) as connections:
        assert (await send(connections)).loss is FailureKind.LOST


async def test_an_answer_cut_short_is_lost() -> None:
    async with connected(answer(PLAIN[:-1])) as connections:
        heard = await send(connections)
        assert heard.body == b"hell"
        assert heard.loss is FailureKind.LOST


async def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    async with connected(answer(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nall of it")) as connections:
        heard = await send(connections)
        assert heard.body == b"all of it"
        assert heard.loss is None


async def test_interim_answers_are_passed_over() -> None:
    async with connected(answer(b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n" + PLAIN)) as connections:
        heard = await send(connections)
        assert (heard.status, heard.body) == (200, b"hello")
        assert b"link" not in heard.headers


async def test_repeated_fields_are_joined() -> None:
    async with connected(answer(b"HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\ncontent-length: 0\r\n\r\n")) as connections:
        assert (await send(connections)).headers[b"a"] == b"1, 2"


@pytest.mark.parametrize("content", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\na: " + b"x" * HEAD_BYTES_MAX * 2])
async def test_what_is_not_http_is_invalid(content: bytes) -> None:
    async with connected(answer(content)) as connections:
        assert (await send(connections)).loss is FailureKind.INVALID


async def test_a_second_answer_nobody_asked_for_ends_the_connection() -> None:
    async with connected(answer(PLAIN + PLAIN)) as connections:
        assert (await send(connections)).body == b"hello"
        assert not connections._idle


async def test_answers_that_begin_alike_are_told_apart() -> None:
    bodies = [b"hello", b"good bye", b"", b"hello"]
    answers = iter([b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: %d\r\n\r\n%b" % (len(b), b) for b in bodies])

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for whole in answers:
            await read_request(reader)
            writer.write(whole)

    async with connected(script) as connections:
        assert [(await send(connections)).body for _ in bodies] == bodies
        assert len(connections._open) == 1


async def test_a_familiar_answer_may_be_aborted_at_its_head() -> None:
    class Averse(Heard):
        def on_head(self, status: int, headers: Headers) -> None:
            self.abort()
            self.over.set()

    async with connected(answer_plainly) as connections:
        for heard in (Heard(), Heard(), Averse()):
            connections.send(heard, encode_head(connections.endpoint, "GET", "/x") + b"\r\n")
            async with asyncio.timeout(20):
                await heard.over.wait()
        assert heard.body == b""
        await until(lambda: not connections._open)


async def test_aborting_closes_the_socket_at_once_at_every_stage() -> None:
    gone = asyncio.Queue[None]()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(PLAIN[:-1])
        with contextlib.suppress(ConnectionError):
            await reader.read()
        gone.put_nowait(None)

    async with connected(script) as connections, asyncio.timeout(20):
        for wait_for_body in (False, True):
            heard = Heard()
            connections.send(heard, encode_head(connections.endpoint, "GET", "/") + b"\r\n")
            if wait_for_body:
                await until(lambda: heard.body)  # noqa: B023
            heard.abort()
            heard.abort()
            if wait_for_body:
                await gone.get()
            assert heard.loss is None
        await until(lambda: not connections._open and not connections._opening)


async def leave_at_every_turn_of_a_connect() -> None:
    async with replica(answer_plainly) as endpoint:
        connections = Connections(endpoint)
        for turns in range(8):
            for _ in range(20):
                given_up = Heard()
                connections.send_fresh(given_up, encode_head(endpoint, "GET", "/x") + b"\r\n")
                for _ in range(turns):
                    await asyncio.sleep(0)
                given_up.abort()
        async with asyncio.timeout(10):
            await connections.close()


async def test_c04_a_connect_given_up_at_any_instant_leaves_nothing_open() -> None:
    await leave_at_every_turn_of_a_connect()


def test_c04_a_connect_given_up_at_any_instant_leaves_nothing_open_on_uvloop() -> None:
    uvloop.run(leave_at_every_turn_of_a_connect())


async def test_call_reads_a_stream_piece_by_piece() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_request(reader)
        assert b"x-a: b\r\n" in head
        assert await reader.readexactly(4) == b"body"
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(50):
            writer.write(b"2710\r\n%b\r\n" % (b"x" * 10_000))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    async with connected(script) as connections:
        async with call(connections, "POST", "/x", headers={"x-a": "b"}, body=b"body") as reply:
            assert reply.status == 200
            assert len(await reply.read()) == 500_000
        assert len(connections._idle) == 1


async def test_leaving_a_call_early_closes_its_connection() -> None:
    async with connected(answer_slowly) as connections:
        async with call(connections, "GET", "/x") as reply:
            assert await anext(reply) == b"a"
        await until(lambda: not connections._open)


async def answer_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
    await reader.read()


async def test_a_lost_call_raises_with_its_kind() -> None:
    async with connected(answer(PLAIN[:-2])) as connections:
        with pytest.raises(CallLostError) as caught:
            async with call(connections, "GET", "/x") as reply:
                await reply.read()
        assert caught.value.kind is FailureKind.LOST
        assert caught.value.code == "upstream_lost"


async def test_a_reader_that_is_slow_pauses_the_replica() -> None:
    sent = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 33554432\r\n\r\n")
        for _ in range(512):
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with connected(script) as connections, call(connections, "GET", "/x") as reply:
        seen, turns_without_progress = 0, 0
        async with asyncio.timeout(10):
            while turns_without_progress < 200:
                await asyncio.sleep(0)
                turns_without_progress = turns_without_progress + 1 if sent == seen else 0
                seen = sent
        assert seen < 20 * 2**20
        assert reply._buffered_bytes < 2**20
        assert len(await reply.read(bytes_max=2**26)) == 2**25


async def test_o12_without_a_descriptor_a_call_says_that_it_is_us(monkeypatch: pytest.MonkeyPatch) -> None:
    async def exhausted(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", exhausted)
    connections = Connections(Endpoint("127.0.0.1", 9))
    with pytest.raises(CallLostError, match="no descriptor left") as caught:
        async with call(connections, "GET", "/health"):
            pass
    assert caught.value.kind is FailureKind.BUSY
    await connections.close()


async def test_o12_a_probe_that_we_cannot_send_is_no_failure_of_the_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    async def exhausted(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", exhausted)
    connections = Connections(Endpoint("127.0.0.1", 9))
    healthy = asyncio.Event()
    health = Health(connections, 0.001, healthy.set)
    health.ask()
    watching = asyncio.create_task(health.watch())
    async with asyncio.timeout(10):
        await healthy.wait()
    assert not watching.done()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await connections.close()
