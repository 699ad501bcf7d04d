"""The connections to one replica: opened under a time limit, checked, reused, closed.

Law: nothing is sent over a new connection before `is_ours()` has said that the process behind the port is the right one.
The idle ones are bounded, and the one used last is used first.
"""

import asyncio
import errno
import ssl
from collections import deque
from collections.abc import Callable
from functools import cache

from toque.model.endpoint import Endpoint
from toque.model.ticket import FailureKind
from toque.wire.client import Call
from toque.wire.connection import Connection

NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})
"""We have no room for one more connection: nothing of the replica's doing."""


class Connections:
    """All connections to one endpoint. Whoever makes one closes it."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        connect_s: float = 2.0,
        idle_max: int = 64,
        is_ours: Callable[[], bool] = lambda: True,
    ) -> None:
        self.endpoint = endpoint
        self._connect_s = connect_s
        self._idle_max = idle_max
        self._is_ours = is_ours
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._none_open = asyncio.Event()
        self._none_open.set()

    def send(self, call: Call, request: bytes) -> None:
        """Send a whole encoded request; what becomes of it is told to `call`, never before this returns."""
        idle = self._idle
        while idle:
            if idle.pop().carry(call, request):
                return
        self.send_fresh(call, request)

    def send_fresh(self, call: Call, request: bytes) -> None:
        """The same over a new connection."""
        connection = Connection(self)
        opening = asyncio.get_running_loop().create_task(self._connect(connection, request))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        connection.open_for(call, opening)

    async def _connect(self, connection: Connection, request: bytes) -> None:
        endpoint = self.endpoint
        try:
            async with asyncio.timeout(self._connect_s):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection,
                    endpoint.host,
                    endpoint.port,
                    ssl=tls_context() if endpoint.secure else None,
                )
        except asyncio.CancelledError:
            self.closed(connection)  # what opened at this very instant uvloop closes without a word to its protocol
            raise
        except OSError as error:  # refused, unreachable, unknown host, TLS, and TimeoutError too
            connection.lose(FailureKind.BUSY if error.errno in NO_DESCRIPTOR else FailureKind.NOT_SENT)
            self.closed(connection)
            return
        if self._is_ours():
            connection.begin(request)
        else:
            connection.lose(FailureKind.NOT_SENT)

    def retire(self) -> None:
        """Close what is idle and keep nothing for reuse; calls under way go on."""
        self._idle_max = 0
        while self._idle:
            self._idle.pop().close()

    async def close(self) -> None:
        """Close all of them, and return when the sockets are gone; calls under way hear LOST."""
        for connection in list(self._open):
            connection.lose(FailureKind.LOST)
        opening = list(self._opening)
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        await self._none_open.wait()

    # ---- called by the connections

    def opened(self, connection: Connection) -> None:
        """Know of it until it is closed."""
        self._open.add(connection)
        self._none_open.clear()

    def keep(self, connection: Connection) -> None:
        """Keep an idle one for the next call, if there is room."""
        if len(self._idle) < self._idle_max:
            self._idle.append(connection)
        else:
            connection.close()

    def closed(self, connection: Connection) -> None:
        """Forget it."""
        self._open.discard(connection)
        if not self._open:
            self._none_open.set()
        if connection in self._idle:
            self._idle.remove(connection)


@cache
def tls_context() -> ssl.SSLContext:
    """The system's trust, for hosted APIs. Made once: reading the certificates takes about 20 ms."""
    return ssl.create_default_context()


def encode_head(endpoint: Endpoint, method: str, path: str) -> bytes:
    """Write the part of a request head that is the same for every call to `path` (below the endpoint's prefix).

    What follows are further fields, each ended by CRLF, an empty line and the body.
    """
    port = "" if endpoint.port == (443 if endpoint.secure else 80) else f":{endpoint.port}"
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    lines = [f"{method} {endpoint.path_prefix}{path} HTTP/1.1", f"host: {host}{port}"]
    if endpoint.key is not None:
        lines.append(f"authorization: Bearer {endpoint.key.reveal()}")
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")
