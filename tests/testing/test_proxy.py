"""The fault proxy between a client and a server: transparent until its plan says otherwise."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.wire.raw import Raw, raw, until
from toque.testing import At, Corrupt, Cut, FakeEngine, FaultProxy, Faults, Kill, Split, Stop
from toque.testing.faults import Fault

ASK = b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"


@asynccontextmanager
async def proxied(*to_client: Fault, to_server: tuple[Fault, ...] = ()) -> AsyncIterator[tuple[FaultProxy, Raw]]:
    faults = Faults(to_server, to_client)
    async with (
        FakeEngine() as engine,
        FaultProxy(engine.host, engine.port, lambda _: faults) as proxy,
        raw(proxy.port) as client,
    ):
        client.send(ASK)
        yield proxy, client


async def test_without_a_fault_it_is_transparent() -> None:
    async with proxied() as (proxy, client):
        assert (await client.answer()).status == 200
        client.send(ASK)
        assert (await client.answer()).status == 200
        assert (proxy.taken_count, proxy.open_count) == (1, 1)


async def test_a_cut_ends_cleanly_after_its_bytes() -> None:
    async with proxied(Cut(At(40))) as (_, client):
        assert len(await client.rest()) == 40


async def test_a_kill_resets_the_connection() -> None:
    async with proxied(Kill(At(40))) as (proxy, client):
        with pytest.raises(ConnectionResetError):
            await client.reader.readuntil(b"\r\n\r\n")
        await until(lambda: not proxy.open_count)


async def test_a_stop_passes_nothing_more_and_ends_with_its_client() -> None:
    async with proxied(Stop(At(0, b"\r\n\r\n"))) as (proxy, client):
        await client.head()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.reader.read(1)
        client.writer.close()
        await until(lambda: not proxy.open_count)


async def test_a_request_can_be_corrupted_as_well() -> None:
    async with proxied(to_server=(Corrupt(At(1), mask=1),)) as (_, client):
        assert (await client.answer()).status in {400, 405}


async def test_split_bytes_are_the_same_bytes() -> None:
    async with proxied(Split()) as (_, client):
        assert b'"chat"' in (await client.answer()).body


async def test_what_is_held_passes_after_its_release() -> None:
    async with FakeEngine() as engine, FaultProxy(engine.host, engine.port) as proxy:
        proxy.hold()
        async with raw(proxy.port) as client:
            client.send(ASK)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.reader.read(1)
            assert not engine.requests
            proxy.release()
            assert (await client.answer()).status == 200


async def test_all_connections_can_be_ended_at_once() -> None:
    async with FakeEngine() as engine, FaultProxy(engine.host, engine.port) as proxy:
        for end in (proxy.cut, proxy.kill):
            async with raw(proxy.port) as first, raw(proxy.port) as second:
                first.send(ASK)
                second.send(ASK)
                assert [(await client.answer()).status for client in (first, second)] == [200, 200]
                end()
                assert [await client.rest() for client in (first, second)] == [b"", b""]
        await until(lambda: not proxy.open_count and not engine.connection_count)


async def test_a_server_that_is_not_there_is_a_reset() -> None:
    async with FakeEngine() as engine:
        gone = engine.port
    async with FaultProxy("127.0.0.1", gone) as proxy, raw(proxy.port) as client:
        with pytest.raises(ConnectionResetError):
            await client.reader.read(1)


async def test_it_closes_what_is_open_when_it_ends() -> None:
    async with FakeEngine() as engine:
        async with FaultProxy(engine.host, engine.port) as proxy, raw(proxy.port) as client:
            client.send(ASK)
            await client.answer()
            await until(lambda: engine.connection_count == 1)
        await until(lambda: not engine.connection_count)
