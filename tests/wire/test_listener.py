"""A listener that pauses: nobody gets in, nobody is lost, and it ends whatever it is doing."""

import asyncio
import socket
from typing import cast

import pytest
import uvloop

from tests.wire.raw import raw, until
from toque.wire.listener import Listener


class Greeter(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.WriteTransport, transport)
        transport.write(b"hello")
        transport.close()


async def a_pause_keeps_who_comes_for_later() -> None:
    listener = Listener(Greeter)
    await listener.open(("127.0.0.1", 0))
    async with raw(listener.port) as early:
        assert await early.rest() == b"hello"
    listener.pause()
    async with raw(listener.port) as late:
        coming = asyncio.create_task(late.rest())
        _, pending = await asyncio.wait([coming], timeout=0.1)
        assert pending
        listener.resume()
        assert await coming == b"hello"
    listener.close()
    await listener.ended()
    with pytest.raises(RuntimeError, match="closed"):
        _ = listener.port


async def test_o12_a_pause_keeps_who_comes_for_later() -> None:
    await a_pause_keeps_who_comes_for_later()


def test_o12_a_pause_keeps_who_comes_for_later_on_uvloop() -> None:
    uvloop.run(a_pause_keeps_who_comes_for_later())


async def test_pausing_twice_and_resuming_twice_is_as_once() -> None:
    listener = Listener(Greeter)
    await listener.open(("127.0.0.1", 0))
    listener.resume()
    for _ in range(2):
        listener.pause()
        listener.pause()
        listener.resume()
        listener.resume()
    async with raw(listener.port) as client:
        assert await client.rest() == b"hello"
    listener.close()
    await listener.ended()


async def test_it_ends_while_it_resumes_and_nothing_is_left() -> None:
    listener = Listener(Greeter)
    await listener.open(("127.0.0.1", 0))
    port = listener.port
    listener.pause()
    listener.resume()
    listener.close()
    await listener.ended()
    listener.resume()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_without_a_descriptor_to_resume_with_it_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(Greeter)
    await listener.open(("127.0.0.1", 0))
    listener.pause()
    tried: list[int] = []

    def exhausted(self: socket.socket) -> socket.socket:
        tried.append(1)
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(socket.socket, "dup", exhausted)
        listener.resume()
        await until(lambda: tried)
    async with raw(listener.port) as client:
        assert await client.rest() == b"hello"
    listener.close()
    await listener.ended()
