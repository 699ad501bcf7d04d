"""C01, C02, C05, C06, C08: clients that are slow, half closed, or ahead of themselves.

Law: what a slow client does is bounded in time, and no answer goes to the wrong request.
"""

import asyncio
import time
from collections.abc import Iterator

from toque.conformance.case import BrokenError, Case, ask, expect
from toque.conformance.line import ClosedError, Line, SilentError, line_to
from toque.conformance.target import CHAT, Target

PIPELINED = 100
GIVEN_UP_S = 30.0
"""Whoever waits longer for a head or for the next byte of a body can be kept busy by anybody."""
READER_RESTS_S = 3.0
READER_TOKENS = 2000


def cases() -> Iterator[Case]:
    """The connection as the client misuses it."""
    yield Case("C01-slow-header", f"408 or closed within {GIVEN_UP_S:.0f} s", _slow_header, GIVEN_UP_S)
    yield Case("C01-others-are-served", "others are answered while 100 headers hang", _others, 1.0)
    yield Case("C02-slow-body", f"408 or closed within {GIVEN_UP_S:.0f} s", _slow_body, GIVEN_UP_S)
    yield Case("C05-slow-reader", "a reader that rests gets the whole stream", _slow_reader, READER_RESTS_S)
    yield Case("C06-half-close", "answered, or closed as a client that left; not left hanging", _half_close)
    yield Case("C08-pipelined", f"{PIPELINED} requests at once are answered in order, or the first of them", _pipelined)
    yield Case("C08-keep-alive", "a second request over the same connection is answered", _keep_alive)


async def _slow_header(target: Target) -> str:
    async with line_to(target) as line:
        await line.send(f"GET {target.prefix}/models HTTP/1.1\r\nHost: {target.authority}\r\nX-Slow: ".encode())
        return await _given_up(line)


async def _slow_body(target: Target) -> str:
    async with line_to(target) as line:
        head = target.request("POST", CHAT, "Content-Type: application/json", "Content-Length: 100000")
        await line.send(head + b'{"model":"')
        return await _given_up(line)


async def _given_up(line: Line) -> str:
    """Send a byte a second until the target has had enough."""
    began = time.perf_counter()
    while (passed_s := time.perf_counter() - began) < GIVEN_UP_S:
        try:
            text = await line.piece(1.0)
        except SilentError:
            try:
                await line.send(b"x")
            except ClosedError:
                return f"closed after {passed_s:.0f} s"
            continue
        if text and not text.startswith((b"HTTP/1.1 408", b"HTTP/1.0 408")):
            raise BrokenError(f"answered {text[:12].decode('latin-1')} after {passed_s:.0f} s")
        return f"{'408' if text else 'closed'} after {passed_s:.0f} s"
    raise BrokenError(f"still waiting after {GIVEN_UP_S:.0f} s")


async def _others(target: Target) -> str:
    async def hang() -> None:
        async with line_to(target) as line:
            await line.send(b"GET / HTTP/1.1\r\nX-Slow: ")
            await asyncio.Event().wait()

    hanging = [asyncio.ensure_future(hang()) for _ in range(100)]
    try:
        return expect(await ask(target, target.request("GET", "/models")), (200,))
    finally:
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def _slow_reader(target: Target) -> str:
    async with line_to(target, receive_bytes=4096) as line:
        await line.send(target.chat("Connection: close", stream=True, max_tokens=READER_TOKENS))
        text = await line.piece()
        try:
            async with asyncio.timeout(READER_RESTS_S):
                await asyncio.Event().wait()
        except TimeoutError:
            text += await line.rest()
    if not text.startswith(b"HTTP/1.1 200"):
        raise BrokenError(f"answered {text[9:12].decode('latin-1')}")
    if b"data: [DONE]" not in text:
        raise BrokenError(f"{len(text)} bytes, without [DONE]")
    return f"{len(text)} bytes, [DONE]"


async def _half_close(target: Target) -> str:
    async with line_to(target) as line:
        await line.send(target.chat())
        line.end_sending()
        try:
            text = await line.rest()
        except SilentError:
            raise BrokenError("neither answered nor closed") from None
    return f"answered {text[9:12].decode('latin-1')}" if text else "closed as a client that left"


async def _pipelined(target: Target) -> str:
    requests = [target.request("GET", "/models" if number % 2 else "/no/such") for number in range(PIPELINED)]
    async with line_to(target) as line:
        await line.send(b"".join(requests))
        answered = 0
        try:
            for number in range(PIPELINED):
                status = (await line.answer()).status
                if (status == 200) is not bool(number % 2):
                    raise BrokenError(f"answer {number + 1} is {status}: mixed up")
                answered += 1
        except ClosedError:
            if not answered:
                raise
    return f"{answered} answered in order" + ("" if answered == PIPELINED else ", then closed")


async def _keep_alive(target: Target) -> str:
    async with line_to(target) as line:
        statuses = []
        for _ in range(2):
            await line.send(target.request("GET", "/models"))
            statuses.append((await line.answer()).status)
    if statuses != [200, 200]:
        raise BrokenError(", ".join(map(str, statuses)))
    return "200, 200"
