"""Calls for code that awaits: agents in this process and admin clients. The relay does not use it.

Law: leaving the `async with` block, by whatever way, ends the call; a reader that is slow pauses the replica.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from toque.model.errors import UpstreamError
from toque.model.ticket import FailureKind
from toque.wire.client import Call, Headers
from toque.wire.connections import Connections, encode_head

BUFFER_BYTES_MAX = 256 * 1024
"""Unread bytes at which the connection is paused."""

_MESSAGES = {
    FailureKind.NOT_SENT: "The replica could not be reached.",
    FailureKind.LOST: "The replica was lost before its answer was complete.",
    FailureKind.INVALID: "The replica did not answer in HTTP.",
    FailureKind.BUSY: "This process has no descriptor left for a connection to the replica.",
}


class CallLostError(UpstreamError):
    """There is no (whole) answer; `kind` says what may be concluded."""

    def __init__(self, kind: FailureKind) -> None:
        invalid = kind is FailureKind.INVALID
        super().__init__(_MESSAGES[kind], code="upstream_invalid_response" if invalid else "upstream_lost")
        self.kind = kind


class Reply(Call):
    """The answer to a call: `status` and `headers`, then its body by `async for`, or at once by `read()`."""

    __slots__ = ("_arrival", "_buffered_bytes", "_has_ended", "_loss", "_pieces", "headers", "status")

    def __init__(self) -> None:
        super().__init__()
        self.status = 0
        self.headers: Headers = {}
        self._pieces: deque[bytes] = deque()
        self._buffered_bytes = 0
        self._has_ended = False
        self._loss: FailureKind | None = None
        self._arrival = asyncio.Event()

    async def wait_for_head(self) -> None:
        """Return when `status` and `headers` are known. Raises `CallLostError`."""
        while not self.status:
            await self._wait()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._has_ended:
                raise StopAsyncIteration
            await self._wait()
        piece = self._pieces.popleft()
        self._buffered_bytes -= len(piece)
        if not self._pieces:
            self.resume()
        return piece

    async def read(self, bytes_max: int = 64 * 2**20) -> bytes:
        """Return the whole body. Raises `CallLostError`, also (INVALID) when it is longer than `bytes_max`."""
        pieces, size = [], 0
        async for piece in self:
            size += len(piece)
            if size > bytes_max:
                raise CallLostError(FailureKind.INVALID)
            pieces.append(piece)
        return b"".join(pieces)

    async def _wait(self) -> None:
        if self._loss is not None:
            raise CallLostError(self._loss)
        self._arrival.clear()
        await self._arrival.wait()

    # ---- called by the connection

    def on_head(self, status: int, headers: Headers) -> None:
        """Wake whoever waits for the head."""
        self.status = status
        self.headers = headers
        self._arrival.set()

    def on_body(self, data: bytes) -> None:
        """Keep it for the reader."""
        self._pieces.append(data)
        self._buffered_bytes += len(data)
        if self._buffered_bytes > BUFFER_BYTES_MAX:
            self.pause()
        self._arrival.set()

    def on_end(self) -> None:
        """Let the reader come to its end."""
        self._has_ended = True
        self._arrival.set()

    def on_lost(self, kind: FailureKind) -> None:
        """Let the reader fail, after what has arrived."""
        self._loss = kind
        self._arrival.set()


@asynccontextmanager
async def call(
    connections: Connections,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> AsyncIterator[Reply]:
    """Send a request to `path` (below the endpoint's prefix) and yield the reply once its head is here.

    Cancelling the task, or leaving the block before the end of the body, closes the connection at once.
    """
    fields = "".join(f"{name}: {content}\r\n" for name, content in (headers or {}).items())
    head = encode_head(connections.endpoint, method, path)
    reply = Reply()
    connections.send(reply, b"%b%bcontent-length: %d\r\n\r\n%b" % (head, fields.encode("latin-1"), len(body), body))
    try:
        await reply.wait_for_head()
        yield reply
    finally:
        reply.abort()
