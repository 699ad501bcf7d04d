"""C03, C04, C07: clients that leave at every stage, and what still runs for them afterwards.

Law: these run alone, one after the other, so that the counters speak of them and of nobody else.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from urllib.parse import urlsplit

from toque.conformance.case import BrokenError, Case, Check, ask, expect
from toque.conformance.line import Line, line_to
from toque.conformance.target import Target, target_at

CLIENTS = 50
SETTLED_S = 5.0
"""Time for the counters to come back to zero."""
LOOK_EACH_S = 0.1
TOKENS = 4000
_IN_FLIGHT = re.compile(
    r"^[a-z_:]*(?:in_flight|inflight|num_requests_running|requests_processing|num_running_reqs|active_requests)"
    r"(?:\{[^}]*\})? ([0-9.e+]+)$",
    re.MULTILINE,
)
"""Gauges that say how many requests are being worked on, as toque, vLLM, llama.cpp, SGLang and others name them."""


def cases() -> Iterator[Case]:
    """One stage after the other."""
    stages: dict[str, tuple[str, Callable[[Target, Line], Awaitable[None]]]] = {
        "C04-left-within-header": ("in the middle of a header", _within_header),
        "C04-left-within-body": ("in the middle of a body", _within_body),
        "C04-left-waiting-for-plain": ("while a plain answer is made", _waiting_plain),
        "C04-left-waiting-for-stream": ("at once after asking for a stream", _waiting_stream),
        "C03-left-mid-stream": ("in the middle of a stream", _mid_stream),
    }
    for name, (when, leave) in stages.items():
        promise = f"{CLIENTS} clients leave {when}: the next is served, and nothing runs on {SETTLED_S:.0f} s later"
        yield Case(name, promise, _left(leave), is_alone=True)


def _left(leave: Callable[[Target, Line], Awaitable[None]]) -> Check:
    async def check(target: Target) -> str:
        async def one() -> None:
            async with line_to(target) as line:
                await leave(target, line)
                line.leave()

        await asyncio.gather(*(one() for _ in range(CLIENTS)))
        counters = await _settled(target)
        return expect(await ask(target, target.chat()), (200,), f", {counters}")

    return check


async def _settled(target: Target) -> str:
    """Wait until the counters are at zero; says what was looked at."""
    if not target.metrics:
        return "no counters were given"
    loop = asyncio.get_running_loop()
    until = loop.time() + SETTLED_S
    while (running := await _in_flight(target.metrics)) and loop.time() < until:
        try:
            async with asyncio.timeout(LOOK_EACH_S):
                await asyncio.Event().wait()
        except TimeoutError:
            continue
    if running is None:
        return "no counter of requests in flight"
    if running:
        raise BrokenError(f"{running:.0f} still in flight after {SETTLED_S:.0f} s")
    return "0 in flight"


async def _in_flight(url: str) -> float | None:
    """Sum of the gauges of requests in flight; None where there is none."""
    parts = urlsplit(url)
    page = target_at(url)
    request = f"GET {parts.path} HTTP/1.1\r\nHost: {page.authority}\r\nConnection: close\r\n\r\n"
    text = (await ask(page, request.encode())).body.decode("utf-8", "replace")
    found = _IN_FLIGHT.findall(text)
    return sum(map(float, found)) if found else None


async def _within_header(target: Target, line: Line) -> None:
    await line.send(target.chat()[:40])


async def _within_body(target: Target, line: Line) -> None:
    await line.send(target.chat()[:-20])


async def _waiting_plain(target: Target, line: Line) -> None:
    await line.send(target.chat(max_tokens=TOKENS))


async def _waiting_stream(target: Target, line: Line) -> None:
    await line.send(target.chat(stream=True, max_tokens=TOKENS))


async def _mid_stream(target: Target, line: Line) -> None:
    await line.send(target.chat(stream=True, max_tokens=TOKENS))
    text = b""
    while b"data:" not in text:
        piece = await line.piece()
        if not piece:
            raise BrokenError(f"no stream: {text[9:12].decode('latin-1')}")
        text += piece
