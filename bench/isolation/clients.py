"""Clients that stream: when the first token came, how many came, and whether the answer was whole.

Law: a client judges by what it received; every request has a connection of its own.
"""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from urllib.parse import urlsplit

PATIENCE_S = 120.0
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jetty", "knoll", "ledge")
_CONTENT = (b'"content":"', b'"content": "')
_EMPTY = (b'"content":""', b'"content": ""')


@dataclass(frozen=True)
class Door:
    """Where to ask, and with which key (empty: none)."""

    url: str
    key: str = ""


@dataclass(frozen=True)
class Asked:
    """One request: `ttft_s` and `took_s` count from before the connection; inf and False where there was no whole answer."""

    ttft_s: float
    took_s: float
    tokens: int
    is_whole: bool


Asking = Callable[[int], Coroutine[None, None, Asked]]
"""Asks the nth request of a load."""


def body(number: int, words: int, tokens_max: int, *, is_stream: bool = True) -> dict[str, object]:
    """Return a request of so many words, different for each number: no engine has seen its prompt."""
    chance = random.Random(number)
    prompt = " ".join([f"Story {number}:", *chance.choices(WORDS, k=words)])
    return {
        "model": "chat",
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": tokens_max,
        "stream": is_stream,
    }


def talker(door: Door, words: int, tokens_max: int, first: int = 0) -> Asking:
    """Return what asks for streams; requests are numbered from `first`."""
    return lambda number: ask(door, body(first + number, words, tokens_max))


async def ask(door: Door, request: dict[str, object]) -> Asked:
    """Ask for a stream and read it to its end."""
    now = asyncio.get_running_loop().time
    asked_at, ttft_s, tokens, last = now(), float("inf"), 0, b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await _open(door, request)
            try:
                while line := await reader.readline():
                    if not line.strip():
                        continue
                    last = line
                    if any(mark in line for mark in _CONTENT) and not any(mark in line for mark in _EMPTY):
                        tokens += 1
                        ttft_s = min(ttft_s, now() - asked_at)
                    if line.startswith(b"data: [DONE]"):
                        break
            finally:
                writer.close()
    except (OSError, TimeoutError):
        pass
    return Asked(ttft_s, now() - asked_at, tokens, tokens > 0 and last.startswith(b"data: [DONE]"))


async def poisson(rate: float, seconds: float, seed: int, asking: Asking) -> list[Asked]:
    """Ask at random instants, whatever becomes of those before."""
    chance, now = random.Random(seed), asyncio.get_running_loop().time
    due, until = now(), now() + seconds
    tasks: list[asyncio.Task[Asked]] = []
    async with asyncio.TaskGroup() as group:
        while (due := due + chance.expovariate(rate)) < until:
            await asyncio.sleep(max(0.0, due - now()))
            tasks.append(group.create_task(asking(len(tasks))))
    return [task.result() for task in tasks]


async def crowd(clients: int, ends: asyncio.Event, asking: Asking) -> list[Asked]:
    """Keep so many clients asking, each again after its last answer, until it ends; those under way are given up."""
    asked: list[Asked] = []

    async def client() -> None:
        while True:
            asked.append(await asking(len(asked)))

    tasks = [asyncio.create_task(client()) for _ in range(clients)]
    await ends.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return asked


def quantile(sizes: Iterable[float], share: float) -> float:
    """Return the smallest size that so large a share does not exceed; 0 of nothing."""
    ascending = sorted(sizes)
    return ascending[max(0, ceil(share * len(ascending)) - 1)] if ascending else 0.0


def jain(shares: Sequence[float]) -> float:
    """Return Jain's index of fairness: 1 when all are equal, 1/n when one has everything (Jain, Chiu, Hawe 1984)."""
    squares = len(shares) * sum(share * share for share in shares)
    return sum(shares) ** 2 / squares if squares else 0.0


async def _open(door: Door, request: dict[str, object]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(door.url)
    written = json.dumps(request).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {address.netloc}\r\nconnection: close\r\n"
        f"authorization: Bearer {door.key or 'none'}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(written)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(head.encode() + written)
    return reader, writer
