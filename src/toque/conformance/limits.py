"""H04, H05, C10: heads and bodies that are too large, and clients that ask first.

Law: what is too large is refused before it is held; a body that was announced too large is not even read.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress

from toque.conformance.case import BrokenError, Case, Check, expect, refusal, told
from toque.conformance.line import PATIENCE_S, ClosedError, SilentError, line_to
from toque.conformance.target import CHAT, Target

HEADER_BYTES = 80 * 2**10
FIELDS = 1000
URL_BYTES = 70 * 2**10
HUGE_BYTES = 10 * 2**30
"""Announced, never sent."""
ENDLESS_BYTES = 192 * 2**20
"""Sent of a chunked body at most: three times what toque allows."""
_TOO_LARGE = (400, 413, 414, 431)


def cases() -> Iterator[Case]:
    """H04, H05 and C10."""
    yield Case("H04-header-80-KiB", "431 (or 400)", _large_head(lambda: [f"X-Large: {'x' * HEADER_BYTES}"]))
    yield Case("H04-1000-fields", "431 (or 400)", _large_head(lambda: [f"X-{number}: x" for number in range(FIELDS)]))
    yield Case("H04-url-70-KiB", "414 (or 400, 431)", _long_url)
    yield Case("H05-announced-10-GiB", "413 before any of it is read", _announced)
    yield Case("H05-chunked-without-end", f"413 or closed before {ENDLESS_BYTES >> 20} MiB", _endless)
    yield Case("C10-expect-too-large", "413 (or 417) and no 100", _expects_too_large)
    yield Case("C10-expect-ordinary", "100 and then the answer, or the answer at once", _expects)


def _large_head(fields: Callable[[], list[str]]) -> Check:
    async def check(target: Target) -> str:
        return await refusal(target, target.request("GET", "/models", *fields()), _TOO_LARGE)

    return check


async def _long_url(target: Target) -> str:
    return await refusal(target, target.request("GET", f"/models?x={'x' * URL_BYTES}"), _TOO_LARGE)


async def _announced(target: Target) -> str:
    return await refusal(target, _head(target, f"Content-Length: {HUGE_BYTES}"), (413,))


async def _expects_too_large(target: Target) -> str:
    async with line_to(target) as line:
        await line.send(_head(target, f"Content-Length: {HUGE_BYTES}", "Expect: 100-continue"))
        answer = await line.answer()
    if 100 in answer.interim:
        raise BrokenError(f"100, then {told(answer)}")
    return expect(answer, (413, 417))


async def _expects(target: Target) -> str:
    body = target.question()
    async with line_to(target) as line:
        await line.send(_head(target, f"Content-Length: {len(body)}", "Expect: 100-continue"))
        try:
            first = await line.piece(3.0)
        except SilentError:
            first = b""  # a server may leave it to the client's patience
        await line.send(body)
        if first and not first.startswith(b"HTTP/1.1 100"):
            raise BrokenError(f"{first[9:12].decode('latin-1')} before the body")
        answer = await line.answer()
    return expect(answer, (200,), ", after a 100" if first else ", without a 100")


async def _endless(target: Target) -> str:
    """Send until something is said; a target may go on reading what it has refused already."""
    chunk = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    async with line_to(target) as line:
        await line.send(_head(target, "Transfer-Encoding: chunked"))
        answer = asyncio.ensure_future(line.answer(4 * PATIENCE_S))
        sent = 0
        with suppress(ClosedError):
            while sent < ENDLESS_BYTES and not answer.done():
                await line.send(chunk)
                sent += 2**20
        if sent >= ENDLESS_BYTES:
            answer.cancel()
            raise BrokenError(f"took {sent >> 20} MiB")
        try:
            return expect(await answer, (413,), f" at {sent >> 20} MiB")
        except ClosedError:
            return f"closed at {sent >> 20} MiB, the answer lost"


def _head(target: Target, *fields: str) -> bytes:
    return target.request("POST", CHAT, "Content-Type: application/json", *fields)
