"""The listening side of HTTP/1.1, for the gateway, the admin listener and a replica's own process.

Law: one coarse sweep looks at all timeouts of all connections; no request has a timer of its own. Nothing listens after
`close_listener()`, nothing is open after `close()`.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping

from toque.model.errors import ToqueError
from toque.model.service_spec import LimitSpec
from toque.wire.certified import Certified
from toque.wire.descriptors import descriptor_limit
from toque.wire.errors import encode_error
from toque.wire.incoming import Handler, Incoming
from toque.wire.listener import Listener

SWEEP_S = 0.5
"""Timeouts are seconds long; half a second late is good enough, and costs 0.1 us a connection."""
FILES_RATIO = 0.9
FILES_RESERVED = 64
"""Of the descriptors this process may have, clients get this share less those for listeners, logs and replicas (four each);
the rest is for connections to replicas, and when those take more, the overload ladder stops newcomers."""
CUT_OFF_S = 1.0
"""How long the last words to clients that are cut off may take."""


def encode_anonymous_refusal(error: ToqueError) -> bytes:
    """Write a refusal of a request that was never understood, and so has no id."""
    return encode_error(error, b"-", closes=True)


class Server:
    """A listener and its connections. Made by `serve`."""

    def __init__(
        self,
        handler: Handler,
        limits: LimitSpec,
        encode_refusal: Callable[[ToqueError], bytes],
        sweep_s: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.begin = handler
        self.limits = limits
        self._encode_refusal = encode_refusal
        self._sweep_s = sweep_s
        self._loop = asyncio.get_running_loop()
        self._listener = Listener(lambda: Certified(self) if tls else Incoming(self), tls)
        self._sweeping: asyncio.TimerHandle | None = None
        self._connections: set[Incoming] = set()
        self._none_open = asyncio.Event()
        self._none_open.set()
        self.now = self._loop.time()
        self.streamed: Mapping[bytes, int] = {}
        self.keeps_alive = True
        """Whether connections go on after an answer; if not, each answer says that it is the last."""
        self._descriptors_allow = max(1, int(descriptor_limit() * FILES_RATIO) - FILES_RESERVED)

    @property
    def port(self) -> int:
        """The port it listens on. Raises `RuntimeError` once the listener is closed."""
        return self._listener.port

    @property
    def connection_count(self) -> int:
        """Open connections, idle ones too."""
        return len(self._connections)

    async def listen(self, address: tuple[str, int] | socket.socket) -> None:
        """Open the listener. Raises `OSError` when the address cannot be had."""
        await self._listener.open(address)

    def pause_accepting(self) -> None:
        """Leave who connects from now on in the kernel's backlog."""
        self._listener.pause()

    def resume_accepting(self) -> None:
        """Accept again."""
        self._listener.resume()

    def close_listener(self) -> None:
        """Take no new connection; those open go on."""
        self._listener.close()

    def announce_drain(self) -> None:
        """From now on each answer is the last of its connection, and says so."""
        self.keeps_alive = False

    def close_idle(self) -> None:
        """Close the connections on which nothing is being answered."""
        for connection in list(self._connections):
            connection.close_if_idle()

    async def drain(self, timeout_s: float) -> None:
        """Close the listener and what is idle; let the rest finish, but for `timeout_s` at most; then close."""
        self.close_listener()
        self.announce_drain()
        self.close_idle()
        if not await self._is_empty_within(timeout_s):
            for connection in list(self._connections):
                connection.cut_off()
            await self._is_empty_within(CUT_OFF_S)
        await self.close()

    async def close(self) -> None:
        """Cut everything, and return when nothing is open."""
        self.close_listener()
        for connection in list(self._connections):
            connection.cut()
        await self._none_open.wait()
        await self._listener.ended()
        if self._sweeping is not None:
            self._sweeping.cancel()

    async def _is_empty_within(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._none_open.wait()
        except TimeoutError:
            return False
        return True

    # ---- called by the connections

    def encode_refusal(self, error: ToqueError) -> bytes:
        """Write the answer to what never became a request."""
        return self._encode_refusal(error)

    def opened(self, connection: Incoming) -> bool:
        """Take a connection, unless there are too many; of those, a fourth as many get the time to read it, others are cut."""
        self._connections.add(connection)
        self._none_open.clear()
        if self._sweeping is None:
            self.now = self._loop.time()
            self._sweeping = self._loop.call_later(self._sweep_s, self._sweep)
        count, most = len(self._connections), min(self.limits.connections_max, self._descriptors_allow)
        if count > most + max(most // 4, 8):
            connection.cut()
            return True
        return count <= most

    def closed(self, connection: Incoming) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        if not self._connections:
            self._none_open.set()

    def _sweep(self) -> None:
        self.now = now = self._loop.time()
        for connection in list(self._connections):
            connection.sweep(now)
        self._sweeping = self._loop.call_later(self._sweep_s, self._sweep) if self._connections else None


async def serve(
    address: tuple[str, int] | socket.socket,
    handler: Handler,
    limits: LimitSpec,
    *,
    encode_refusal: Callable[[ToqueError], bytes] = encode_anonymous_refusal,
    sweep_s: float = SWEEP_S,
    tls: ssl.SSLContext | None = None,
) -> Server:
    """Listen on host and port (0: any free one) or on a bound socket, and answer with `handler`.

    `encode_refusal` writes the answer to bytes that never became a request; with `tls` connections are `Certified`. Raises
    `OSError` for a taken address.
    """
    server = Server(handler, limits, encode_refusal, sweep_s, tls)
    await server.listen(address)
    return server
