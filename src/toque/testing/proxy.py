"""The fault proxy: a TCP proxy between any two, that hangs, cuts, kills, slows, corrupts and splits what passes through it.

Law: without a fault it is transparent, the half-closing of either side included. It keeps no more than one read a
direction, and nothing of it is open after `async with`.
"""

import asyncio
import socket
import struct
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Self

from toque.agents.fake import pause
from toque.testing.faults import Cut, Faults, Kill, Passage, Plan, Rest, Stop

READ_BYTES = 64 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, for 0 s: the kernel then ends the connection with RST instead of FIN (socket(7))."""


def faultless(_: int) -> Faults:
    """Plan nothing."""
    return Faults()


class FaultProxy:
    """Stands before `host`:`port`; `plan` says what happens on each connection. Usable as an asynchronous context.

    `plan` may be exchanged at any time, for the connections that come afterwards. `taken_count` counts connections so
    far, `open_count` those that are open. `hold`, `release`, `kill` and `cut` may be called from any thread, and take
    effect in the proxy's next turn.
    """

    def __init__(self, host: str, port: int, plan: Plan = faultless, *, listen_port: int = 0) -> None:
        self.plan = plan
        self.port = listen_port
        self.taken_count = 0
        self._target = (host, port)
        self._numbers = count()
        self._links: dict[asyncio.Task[None], _Link] = {}
        self._listener: asyncio.Server | None = None
        self._passes = asyncio.Event()
        self._passes.set()

    @property
    def host(self) -> str:
        """Where it listens: loopback, always."""
        return "127.0.0.1"

    @property
    def url(self) -> str:
        """Its own address, for clients that want a URL."""
        return f"http://{self.host}:{self.port}"

    @property
    def open_count(self) -> int:
        """Connections that are open now."""
        return len(self._links)

    async def __aenter__(self) -> Self:
        """Listen on `listen_port`; 0: any free one. Raises `OSError` for a taken one."""
        self._loop = asyncio.get_running_loop()
        self._listener = await asyncio.start_server(self._accept, self.host, self.port, limit=READ_BYTES, backlog=2048)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the listener and every connection."""
        assert self._listener is not None
        self._listener.close()
        tasks = list(self._links)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def hold(self) -> None:
        """Pass nothing on, on all connections, until `release`: the network is gone and nobody is told."""
        self._loop.call_soon_threadsafe(self._passes.clear)

    def release(self) -> None:
        """Pass on again, what was held first."""
        self._loop.call_soon_threadsafe(self._passes.set)

    def kill(self) -> None:
        """End all connections that are open with RST."""
        self._loop.call_soon_threadsafe(self._end_all, Kill())

    def cut(self) -> None:
        """End all connections that are open with FIN."""
        self._loop.call_soon_threadsafe(self._end_all, Cut())

    def _end_all(self, fault: Cut | Kill) -> None:
        for link in self._links.values():
            link.end(fault)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.taken_count += 1
        link = _Link(reader, writer, self.plan(next(self._numbers)), self._passes)
        task = asyncio.ensure_future(link.run(*self._target))
        self._links[task] = link
        task.add_done_callback(self._links.pop)


class _Link:
    """One client's connection, the one to the server that belongs to it, and the two ways between them."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, faults: Faults, passes: asyncio.Event
    ) -> None:
        self._reader = reader
        self._writers = [writer]
        self._faults = faults
        self._passes = passes
        self._ways: list[asyncio.Task[None]] = []

    def end(self, fault: Cut | Kill) -> None:
        """End both connections, in the way of the fault."""
        for writer in self._writers:
            if isinstance(fault, Kill):
                _reset(writer)
            else:
                writer.close()
        for way in self._ways:
            way.cancel()

    async def run(self, host: str, port: int) -> None:
        """Pass bytes both ways until both sides have ended, or a fault ends them."""
        try:
            reader, writer = await asyncio.open_connection(host, port, limit=READ_BYTES)
        except OSError:
            self.end(Kill())
            return
        client = self._writers[0]
        self._writers.append(writer)
        self._ways = [
            asyncio.ensure_future(self._pass(self._reader, writer, Passage(self._faults.to_server))),
            asyncio.ensure_future(self._pass(reader, client, Passage(self._faults.to_client))),
        ]
        try:
            ended = await asyncio.gather(*self._ways, return_exceptions=True)
        finally:
            for open_writer in self._writers:
                open_writer.close()
        for failure in ended:
            if isinstance(failure, Exception):
                raise failure

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passage: Passage) -> None:
        """Pass one direction on; what is lost on one side is reset on the other."""
        try:
            data = b""
            while not await self._carry_out(passage, data, writer):
                data = await reader.read(READ_BYTES)
                if not data:
                    writer.write_eof()
                    return
            while await reader.read(READ_BYTES):  # stopped: what comes is swallowed, only its end is of interest
                pass
        except OSError:
            self.end(Kill())

    async def _carry_out(self, passage: Passage, data: bytes, writer: asyncio.StreamWriter) -> bool:
        """Do what the passage says; returns whether that was the end of passing."""
        for step in passage.steps(data):
            if isinstance(step, Rest):
                await pause(step.duration_s)
            elif isinstance(step, bytes):
                await self._passes.wait()
                writer.write(step)
                await writer.drain()
            else:
                if not isinstance(step, Stop):
                    self.end(step)
                return True
        return False


def _reset(writer: asyncio.StreamWriter) -> None:
    opened: socket.socket = writer.get_extra_info("socket")
    with suppress(OSError):
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
