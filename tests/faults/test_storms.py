"""C01, C02, C07, C12: a thousand clients that are slow, leave at once, or are one too many."""

import asyncio
import resource
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.service import Service, call, request, serving, until
from tests.wire.raw import Raw, raw
from toque.agents.fake import FakeAgent
from toque.testing import FakeEngine, in_background

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

CROWD = 1000
ASKED = 100
SETTINGS = """
[models.chat]
agent = "openai"
url = "{url}"
slots = 1100
{more}
"""
HEAD = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n"
STREAM = request(stream=True)


@pytest.fixture(autouse=True)
def _enough_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@asynccontextmanager
async def crowd(service: Service, size: int) -> AsyncIterator[list[Raw]]:
    """So many connections at once."""
    port = int(service.url.rpartition(":")[2])
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(raw(port)) for _ in range(size)]


def open_files(service: Service) -> int:
    return sum(1 for _ in Path(f"/proc/{service.process.pid}/fd").iterdir())


def threads(service: Service) -> int:
    return sum(1 for _ in Path(f"/proc/{service.process.pid}/task").iterdir())


async def latencies_s(service: Service) -> list[float]:
    """How long each of some plain requests takes, one after the other, in order of length."""
    taken = []
    for _ in range(ASKED):
        began = time.monotonic()
        status, _, _ = await asyncio.to_thread(service.ask, max_tokens=1)
        taken.append(time.monotonic() - began)
        assert status == 200
    return sorted(taken)


async def test_c01_and_c02_a_thousand_slow_clients_leave_the_others_alone_and_are_sent_away(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with in_background(FakeEngine()) as engine, serving(tmp_path, SETTINGS.format(url=engine.url, more="")) as service:
        alone = await latencies_s(service)
        async with crowd(service, CROWD) as slow:
            heads, bodies = slow[: CROWD * 9 // 10], slow[CROWD * 9 // 10 :]
            for client in heads:
                client.send(b"POST /v1/chat/comp")
            for client in bodies:
                client.send(HEAD.format(1_000_000).encode() + b'{"model":')
            crowded = await latencies_s(service)
            record_property("p99_ms_alone", round(alone[-2] * 1000, 2))
            record_property("p99_ms_beside_1000_slow_clients", round(crowded[-2] * 1000, 2))
            assert crowded[-2] < 1.0
            answers = await asyncio.gather(*(client.answer() for client in slow))
            assert {(answer.status, answer.error["code"]) for answer in answers} == {(408, "request_timeout")}
            assert not any(await asyncio.gather(*(client.rest() for client in slow)))
        assert service.ask()[0] == 200


async def test_c07_a_thousand_streams_cut_at_once_free_all_slots_and_leave_nothing(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    slow = FakeAgent(tokens=1000, token_gap_s=0.5)
    with (
        in_background(FakeEngine(agent=slow)) as engine,
        serving(tmp_path, SETTINGS.format(url=engine.url, more="")) as service,
    ):
        await asyncio.to_thread(service.ask, max_tokens=1)
        before = open_files(service), threads(service)
        async with crowd(service, CROWD) as clients:
            for client in clients:
                client.send(HEAD.format(len(STREAM)).encode() + STREAM)
            heads = await asyncio.gather(*(client.head() for client in clients))
            assert Counter(head.status for head in heads) == {200: CROWD}
            await asyncio.gather(*(client.chunk() for client in clients))
            assert service.pool()["in_flight"] == CROWD
            assert engine.in_flight == CROWD
            for client in clients:
                client.writer.transport.abort()
            began = time.monotonic()
            await asyncio.to_thread(service.idle)
            freed_s = time.monotonic() - began
        record_property("slots_free_after_s", round(freed_s, 3))
        assert freed_s < 5.0
        until(lambda: not engine.in_flight)
        decoded = slow.tokens_decoded
        until(lambda: open_files(service) <= before[0] + 2)
        assert threads(service) == before[1]
        assert slow.tokens_decoded == decoded
        assert service.ask(max_tokens=1)[0] == 200
        _, _, page = call(service.admin_url, "GET", "/metrics")
        assert f'status="499"}} {CROWD}.0'.encode() in page


async def test_c12_one_connection_too_many_is_told_so_and_the_streams_go_on(tmp_path: Path) -> None:
    more = "[limits]\nconnections_max = 20"
    slow = FakeAgent(tokens=20, token_gap_s=0.05)
    with (
        in_background(FakeEngine(agent=slow)) as engine,
        serving(tmp_path, SETTINGS.format(url=engine.url, more=more)) as service,
    ):
        async with crowd(service, 20) as clients:
            streaming = clients[:5]
            for client in streaming:
                client.send(HEAD.format(len(STREAM)).encode() + STREAM)
                await client.head()
            async with crowd(service, 5) as late:
                for client in late:
                    refused = await client.answer()
                    assert (refused.status, refused.error["code"]) == (503, "server_is_overloaded")
                    assert int(refused.fields["retry-after"]) >= 1
                    assert await client.rest() == b""
            for client in streaming:
                pieces = [piece async for piece in pieces_of(client)]
                assert pieces[-1].endswith(b"data: [DONE]\n\n")
        until(lambda: service.ask(max_tokens=1)[0] == 200)


async def pieces_of(client: Raw) -> AsyncIterator[bytes]:
    """What is left of a stream."""
    while piece := await client.chunk():
        yield piece
