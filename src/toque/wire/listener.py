"""A listener that can pause: who connects meanwhile waits in the kernel's backlog, and nobody is lost.

Law: what is listened on stays open until `close()`, paused or not, so that resuming cannot fail for want of the address.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable

BACKLOG = 2048
RETRY_S = 0.25
"""Resuming takes a descriptor of its own; where there is none yet, this is tried again."""


class Listener:
    """Made closed; `factory` makes the protocol of each connection, after its handshake where there is `tls`."""

    def __init__(self, factory: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None = None) -> None:
        self._factory = factory
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._accepting: list[asyncio.Server] = []
        self._held: list[socket.socket] = []
        self._resuming: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._is_paused = False

    @property
    def port(self) -> int:
        """The port it listens on. Raises `RuntimeError` once it is closed."""
        if not self._held:
            raise RuntimeError("The listener is closed.")
        port: int = self._held[0].getsockname()[1]
        return port

    async def open(self, address: tuple[str, int] | socket.socket) -> None:
        """Listen. Raises `OSError` when the address cannot be had."""
        if isinstance(address, socket.socket):
            server = await self._loop.create_server(self._factory, sock=address, backlog=BACKLOG, ssl=self._tls)
        else:
            host, port = address
            server = await self._loop.create_server(self._factory, host, port, backlog=BACKLOG, ssl=self._tls)
        self._accepting = [server]
        self._held = [socket.socket(fileno=os.dup(one.fileno())) for one in server.sockets]

    def pause(self) -> None:
        """Accept nobody until `resume`."""
        self._is_paused = True
        self._stop_accepting()

    def resume(self) -> None:
        """Accept again, those who waited first."""
        if self._is_paused and self._held:
            self._is_paused = False
            self._begin_resuming()

    def close(self) -> None:
        """Listen no more."""
        self._stop_accepting()
        while self._held:
            self._held.pop().close()

    async def ended(self) -> None:
        """Wait, after `close`, until nothing of it runs any more."""
        if self._resuming is not None:
            await asyncio.gather(self._resuming, return_exceptions=True)

    def _stop_accepting(self) -> None:
        if self._again is not None:
            self._again.cancel()
        if self._resuming is not None:
            self._resuming.cancel()
        while self._accepting:
            self._accepting.pop().close()

    def _begin_resuming(self) -> None:
        self._resuming = self._loop.create_task(self._resume())

    async def _resume(self) -> None:
        try:
            for held in self._held[len(self._accepting) :]:
                await self._accept_on(held.dup())
        except OSError:
            self._again = self._loop.call_later(RETRY_S, self._begin_resuming)

    async def _accept_on(self, sock: socket.socket) -> None:
        try:
            server = await self._loop.create_server(self._factory, sock=sock, backlog=BACKLOG, ssl=self._tls)
            self._accepting.append(server)
        except BaseException:
            sock.close()
            raise
