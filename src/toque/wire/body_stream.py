"""A body that is handed over while it comes, for those too large to be held: uploads.

Law: no more is held than `HELD_BYTES_MAX` and one read; the client waits meanwhile. It is invited to send (100-continue)
only when somebody begins to read.
"""

import asyncio
from typing import Protocol

from toque.model.errors import CallerError

HELD_BYTES_MAX = 2**20
"""As much as the store takes with one commit: less would make it wait for the network."""


class Flow(Protocol):
    """The connection below, as asyncio's transports are."""

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...

    def pause_reading(self) -> None:
        """Let the client wait."""
        ...

    def resume_reading(self) -> None:
        """Let it go on."""
        ...

    def is_closing(self) -> bool:
        """Whether the connection is about to end, and must be left alone."""
        ...


class BodyStream:
    """Filled by the connection's reader, emptied by one task."""

    def __init__(self, flow: Flow, *, awaits_continue: bool) -> None:
        self._flow = flow
        self._awaits_continue = awaits_continue
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._is_paused = False
        self._is_over = False
        self._error: CallerError | None = None
        self._changed = asyncio.Event()

    async def read(self) -> bytes:
        """Wait for bytes and return all that came; none at the end. Raises `CallerError` for a body that broke a rule."""
        if self._awaits_continue:
            self._awaits_continue = False
            self._flow.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await self._changed.wait()
        if self._error is not None:
            raise self._error
        content = b"".join(self._pieces)
        self._pieces.clear()
        self._held_bytes = 0
        if not self._is_over:
            self._changed.clear()
        self._set_paused(is_paused=False)
        return content

    # ---- called by the reader

    def append(self, piece: bytes) -> None:
        """Bytes came."""
        self._pieces.append(piece)
        self._held_bytes += len(piece)
        self._changed.set()
        if self._held_bytes > HELD_BYTES_MAX:
            self._set_paused(is_paused=True)

    def end(self) -> None:
        """The body is whole."""
        self._is_over = True
        self._changed.set()

    def fail(self, error: CallerError) -> None:
        """What comes is no body any more; what came before is worth nothing."""
        self._error = error
        self.end()
        self._set_paused(is_paused=False)

    def _set_paused(self, *, is_paused: bool) -> None:
        if is_paused is self._is_paused or self._flow.is_closing():
            return
        self._is_paused = is_paused
        if is_paused:
            self._flow.pause_reading()
        else:
            self._flow.resume_reading()
