"""Bodies that are handed over while they come: bounded, paced, and refused without being read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.wire.raw import Raw, raw
from toque.model.errors import CallerError
from toque.model.service_spec import LimitSpec
from toque.wire.asgi import AsgiHandler
from toque.wire.body_stream import HELD_BYTES_MAX
from toque.wire.server import serve

HEAD = b"POST /up HTTP/1.1\r\nHost: toque.test\r\n"
MOST = 8 * HELD_BYTES_MAX
GRACE = "toque.wire.incoming.BODY_GRACE_S"


class Reception:
    """Takes bodies in, one piece for each turn of the gate."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.sizes: list[int] = []
        self.refuses = False

    async def receive(self, request: Request) -> Response:
        if self.refuses:
            return Response("no", 403)
        try:
            async for piece in request.stream():
                self.sizes.append(len(piece))
                await self.gate.wait()
        except CallerError as error:
            return Response(error.message, error.status)
        return Response(str(sum(self.sizes)))


@contextlib.asynccontextmanager
async def client_of(reception: Reception) -> AsyncIterator[Raw]:
    handler = AsgiHandler(Starlette(routes=[Route("/up", reception.receive, methods=["POST", "GET"])]))
    server = await serve(("127.0.0.1", 0), handler, LimitSpec(body_bytes_max=1000), sweep_s=0.02)
    server.streamed = {b"/up": MOST}
    try:
        async with raw(server.port) as client:
            yield client
    finally:
        await server.close()
        await handler.close()
    assert not handler._tasks


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_h05_a_body_beyond_the_common_limit_is_handed_over_and_never_held(is_chunked: bool) -> None:
    reception = Reception()
    async with client_of(reception) as client:
        if is_chunked:
            client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            client.send(*[b"%x\r\n" % HELD_BYTES_MAX + b"x" * HELD_BYTES_MAX + b"\r\n"] * 8, b"0\r\n\r\n")
        else:
            client.send(HEAD + b"Content-Length: %d\r\n\r\n" % MOST, b"x" * MOST)
        reply = await client.answer()
        assert (reply.status, reply.body) == (200, str(MOST).encode())
        assert reply.fields["connection"] == "close"
        assert await client.rest() == b""
    assert max(reception.sizes) < 2 * HELD_BYTES_MAX


async def test_whoever_takes_it_in_slowly_makes_the_client_wait() -> None:
    reception = Reception()
    reception.gate.clear()
    async with client_of(reception) as client:
        client.send(HEAD + b"Content-Length: %d\r\n\r\n" % MOST, b"x" * MOST)
        async with asyncio.timeout(20):
            while not reception.sizes:
                await asyncio.sleep(0)
        assert client.writer.transport.get_write_buffer_size() > 0
        reception.gate.set()
        assert (await client.answer()).body == str(MOST).encode()
    assert max(reception.sizes) < 2 * HELD_BYTES_MAX


async def test_c10_too_large_a_body_is_refused_before_it_is_read() -> None:
    async with client_of(Reception()) as client:
        client.send(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (MOST + 1))
        assert (await client.answer()).status == 413


async def test_h05_a_chunked_body_is_refused_at_the_limit() -> None:
    reception = Reception()
    async with client_of(reception) as client:
        client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        client.send(*[b"%x\r\n" % HELD_BYTES_MAX + b"x" * HELD_BYTES_MAX + b"\r\n"] * 9)
        assert (await client.answer()).status == 413


async def test_c10_the_client_is_invited_only_by_who_wants_its_body() -> None:
    reception = Reception()
    async with client_of(reception) as client:
        client.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert (await client.head()).status == 100
        client.send(b"hi")
        assert (await client.answer()).body == b"2"
    reception.refuses = True
    async with client_of(reception) as client:
        client.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert (await client.answer()).status == 403


async def test_who_is_refused_in_the_middle_can_read_why_while_it_still_sends() -> None:
    reception = Reception()
    reception.refuses = True
    async with client_of(reception) as client:
        client.send(HEAD + b"Content-Length: %d\r\n\r\n" % MOST, b"x" * MOST)
        assert (await client.answer()).status == 403


async def test_c02_a_body_that_comes_too_slowly_gets_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GRACE, 0.1)
    async with client_of(Reception()) as client:
        client.send(HEAD + b"Content-Length: 100\r\n\r\nx")
        assert (await client.answer()).status == 408


async def test_a_broken_chunk_ends_the_body_with_400() -> None:
    async with client_of(Reception()) as client:
        client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nnonsense\r\n")
        assert (await client.answer()).status == 400


async def test_what_is_asked_behind_an_upload_is_not_answered() -> None:
    async with client_of(Reception()) as client:
        client.send(
            b"GET /up HTTP/1.1\r\nHost: toque.test\r\n\r\n",
            HEAD + b"Content-Length: 2\r\n\r\nhi" + HEAD + b"Content-Length: 2\r\n\r\nho",
        )
        assert [(await client.answer()).body, (await client.answer()).body] == [b"0", b"2"]
        assert await client.rest() == b""


async def test_an_upload_that_asks_for_an_upgrade_is_taken_in_once() -> None:
    reception = Reception()
    async with client_of(reception) as client:
        fields = b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n"
        client.send(HEAD + fields + b"hi")
        assert (await client.answer()).body == b"2"
