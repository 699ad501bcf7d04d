"""Clients: a socket for every request, an answer read to its end, and what became of it in one word.

Law: a client judges by what it received and by nothing else; it gives up after PATIENCE_S.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from urllib.parse import urlsplit

PATIENCE_S = 60.0
READ_BYTES = 65536
REFUSALS = (b'"queue_full"', b'"queue_timeout"', b'"no_healthy_replica"', b'"model_loading"', b'"server_is_overloaded"')


class Ending(StrEnum):
    """What a request came to."""

    GOOD = "good"
    REFUSED = "refused"
    """429 or 503 with Retry-After, or the same as the only event of a stream that was held with comments: told, not lost."""
    CUT = "cut"
    """A stream that had begun and ended with an error event."""
    LOST = "lost"
    """Anything else: another status, a broken connection, half an answer that calls itself whole, silence."""


@dataclass(frozen=True)
class Answer:
    """One request; times are seconds of the loop's clock. `began_answering`: its first content had come."""

    ending: Ending
    asked_at: float
    ended_at: float
    began_answering: bool = False
    retry_after_s: float = 0.0

    @property
    def took_s(self) -> float:
        """Seconds from asking to the end."""
        return self.ended_at - self.asked_at


Asking = Callable[[int], Coroutine[None, None, Answer]]
"""Asks the nth request of a load."""


async def ask(url: str, *, is_stream: bool) -> Answer:
    """Ask once."""
    now = asyncio.get_running_loop().time
    asked_at = now()
    received = b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for piece in _exchange(url, is_stream):
                received += piece
    except (OSError, TimeoutError):
        return Answer(Ending.LOST, asked_at, now(), b'"content"' in received)
    ending, retry_after_s = _judge(received, is_stream)
    return Answer(ending, asked_at, now(), b'"content"' in received, retry_after_s)


async def ask_again(url: str, retries: int, chance: random.Random) -> Answer:
    """Ask, and after a refusal as often again, each time after what Retry-After says; the time counts from the first."""
    first = answer = await ask(url, is_stream=False)
    for _ in range(retries):
        if answer.ending is not Ending.REFUSED:
            break
        await asyncio.sleep(answer.retry_after_s * chance.uniform(0.75, 1.0))
        answer = await ask(url, is_stream=False)
    return Answer(answer.ending, first.asked_at, answer.ended_at)


def mixed(url: str) -> Asking:
    """Every second request is for a stream."""
    return lambda number: ask(url, is_stream=number % 2 == 0)


async def poisson(rate: float, seconds: float, chance: random.Random, asking: Asking) -> list[Answer]:
    """Ask at random instants, whatever becomes of those before."""
    now = asyncio.get_running_loop().time
    due, until = now(), now() + seconds
    async with asyncio.TaskGroup() as group:
        asked = []
        while (due := due + chance.expovariate(rate)) < until:
            await asyncio.sleep(max(0.0, due - now()))
            asked.append(group.create_task(asking(len(asked))))
    return [task.result() for task in asked]


async def crowd(clients: int, seconds: float, again: Callable[[], Awaitable[Iterable[Answer]]]) -> list[Answer]:
    """Keep so many clients asking, each at once after its last answer."""
    now = asyncio.get_running_loop().time
    until = now() + seconds
    answers: list[Answer] = []

    async def client() -> None:
        while now() < until:
            answers.extend(await again())

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    return answers


def count(answers: Iterable[Answer]) -> dict[str, int]:
    """Return how many there are of each ending."""
    counted = Counter(answer.ending for answer in answers)
    return {ending.value: counted[ending] for ending in Ending}


def quantile(sizes: Iterable[float], share: float) -> float:
    """Return the smallest size that so large a share does not exceed; 0 of nothing."""
    ascending = sorted(sizes)
    return ascending[max(0, ceil(share * len(ascending)) - 1)] if ascending else 0.0


async def _exchange(url: str, is_stream: bool) -> AsyncIterator[bytes]:
    address = urlsplit(url)
    asked = {
        "model": "chat",
        "messages": [{"role": "user", "content": "Name the capital of France."}],
        "max_tokens": 20,
    }
    body = json.dumps(asked | {"stream": is_stream}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {address.netloc}\r\nconnection: close\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(head.encode() + body)
        while piece := await reader.read(READ_BYTES):
            yield piece
    finally:
        writer.close()


def _judge(received: bytes, is_stream: bool) -> tuple[Ending, float]:
    head, _, body = received.partition(b"\r\n\r\n")
    status = head[9:12]
    if status == b"200":
        return _judge_body(body, is_stream), 0.0
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    after = fields.get(b"retry-after", b"")
    if status in {b"429", b"503"} and after.isdigit() and b'"error"' in body:
        return Ending.REFUSED, float(after)
    return Ending.LOST, 0.0


def _judge_body(body: bytes, is_stream: bool) -> Ending:
    if not is_stream:
        return Ending.GOOD if b'"finish_reason"' in body else Ending.LOST
    if b"data: [DONE]" in body:
        return Ending.GOOD
    if b'"content"' in body:
        return Ending.CUT if b'"error"' in body else Ending.LOST
    return Ending.REFUSED if any(code in body for code in REFUSALS) else Ending.LOST
