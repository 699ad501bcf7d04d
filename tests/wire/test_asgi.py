"""ASGI applications behind our server: what they may rely on, and what happens when they or their clients fail."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.wire.raw import Raw, raw, until
from toque.model.service_spec import LimitSpec
from toque.wire.asgi import Application, AsgiHandler, Message, Receive, Send
from toque.wire.server import serve

HOST = b"Host: toque.test\r\n"


@contextlib.asynccontextmanager
async def client_of(application: Application, *, cancels: bool = True) -> AsyncIterator[Raw]:
    handler = AsgiHandler(application, cancels=cancels)
    server = await serve(("127.0.0.1", 0), handler, LimitSpec(), sweep_s=0.02)
    try:
        async with raw(server.port) as client:
            yield client
    finally:
        await server.close()
        await handler.close()
    assert not handler._tasks


async def test_a_starlette_application_sees_the_request_and_answers() -> None:
    async def show(request: Request) -> Response:
        body = await request.body()
        return JSONResponse({"path": request.url.path, "q": request.query_params["q"], "body": body.decode()})

    async with client_of(Starlette(routes=[Route("/a/{b}", show, methods=["POST"])])) as client:
        for _ in range(2):
            client.send(b"POST /a/%C3%BC?q=1 HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\nhi")
            reply = await client.answer()
            assert reply.status == 200
            assert reply.body == '{"path":"/a/ü","q":"1","body":"hi"}'.encode()


async def test_a_stream_is_chunked_and_the_connection_goes_on() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"one", b"", b"two"):
            yield piece

    async def stream(request: Request) -> Response:
        return StreamingResponse(pieces(), media_type="text/plain")

    async with client_of(Starlette(routes=[Route("/", stream)])) as client:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await client.answer()).body == b"onetwo"
        client.send(b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await client.head()).status == 200
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await client.answer()).body == b"onetwo"


async def test_a_client_that_leaves_cancels_the_application() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait(scope: Message, receive: Receive, send: Send) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with client_of(wait) as client, asyncio.timeout(5):
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        await begun.wait()
        client.writer.close()
        await ended.wait()


async def test_an_application_that_is_not_cancelled_is_told() -> None:
    heard = []

    async def listen(scope: Message, receive: Receive, send: Send) -> None:
        heard.extend([(await receive())["type"], (await receive())["type"]])
        await send({"type": "http.response.start", "status": 200})

    async with client_of(listen, cancels=False) as client:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        await client.writer.drain()
        client.writer.write_eof()
        await until(lambda: heard == ["http.request", "http.disconnect"])


async def test_a_failing_application_answers_500_and_says_nothing_of_why() -> None:
    async def fail(scope: Message, receive: Receive, send: Send) -> None:
        raise ValueError("a secret")

    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    async with client_of(fail) as client:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        reply = await client.answer()
        assert reply.status == 500
        assert reply.error["code"] == "internal_error"
        assert b"secret" not in reply.body
    assert [type(failure) for failure in failures] == [ValueError]


async def test_an_application_that_stops_halfway_leaves_a_cut_connection() -> None:
    async def stop(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async with client_of(stop) as client:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await client.head()).status == 200
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.reader.readexactly(10)


async def test_a_client_that_reads_slowly_makes_send_wait() -> None:
    sent = 0

    async def flood(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200})
        for _ in range(400):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            sent += 65536
        await send({"type": "http.response.body"})

    async with client_of(flood) as client:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        seen, still = 0, 0
        while still < 200:
            await asyncio.sleep(0)
            still = still + 1 if sent == seen else 0
            seen = sent
        assert 0 < seen < 20 * 2**20
        assert len((await client.answer()).body) == 400 * 65536
