"""The access log: one line a request.

Law: the event loop never writes. Lines are handed on in batches to one thread of our own; when that cannot keep up, lines
are dropped and counted, and nothing waits.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Protocol

from toque.records.access_line import json_line
from toque.records.served import Served

BATCH_MAX = 1024
"""Lines that make a batch full: a thread that is woken takes the lock from the loop, which costs both."""
FLUSH_S = 0.5
"""The longest a line waits for its batch."""
BATCHES_WAITING_MAX = 16
"""Batches that the thread may be behind (about 5 MB); more are dropped."""


class Sink(Protocol):
    """Where lines go."""

    def write(self, lines: bytes, /) -> object:
        """Take whole lines. Raises `OSError` or `ValueError` when it cannot."""
        ...

    def flush(self) -> None:
        """Let go of what was taken."""
        ...


class AccessLog:
    """`open()` starts the thread; `close()` writes what is left and ends it. The sink stays its owner's to close."""

    def __init__(
        self, sink: Sink, wall_clock: Callable[[], float], line: Callable[[float, Served], bytes] = json_line
    ) -> None:
        self._sink = sink
        self._line = line
        self._wall_clock = wall_clock
        self._batch: list[bytes] = []
        self._batches: queue.Queue[list[bytes] | None] = queue.Queue(BATCHES_WAITING_MAX)
        self._flushing: asyncio.TimerHandle | None = None
        self._writer = threading.Thread(target=self._write_all, name="toque-access-log", daemon=True)
        self.dropped = 0

    def open(self) -> None:
        """Start to write."""
        self._writer.start()

    def write(self, served: Served) -> None:
        """Add one line to the batch. It is encoded here, for a thread that encoded would hold the lock we all share."""
        batch, wall_clock, line = self._batch, self._wall_clock, self._line
        batch.append(line(wall_clock(), served))
        if len(batch) >= BATCH_MAX:
            self.flush()
        elif self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Hand the batch to the thread now."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        batch, self._batch = self._batch, []
        if not batch:
            return
        try:
            self._batches.put_nowait(batch)
        except queue.Full:
            self.dropped += len(batch)

    async def close(self) -> None:
        """Write what is left. Waits for the thread, but not for a sink that takes nothing."""
        self.flush()
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        try:
            self._batches.put(None, timeout=FLUSH_S)
        except queue.Full:
            return
        self._writer.join(timeout=FLUSH_S)

    def _write_all(self) -> None:
        while (batch := self._batches.get()) is not None:
            try:
                self._sink.write(b"".join(batch))
                self._sink.flush()
            except (OSError, ValueError):  # a full disk, a closed pipe: serving goes on
                self.dropped += len(batch)
