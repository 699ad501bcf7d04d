"""The access log: one JSON line a request.

Law: the event loop never writes. Lines are handed on in batches to one thread of our own; when that cannot keep up, lines
are dropped and counted, and nothing waits.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import BinaryIO

import msgspec

from toque.records.served import Served

BATCH_MAX = 256
"""Lines that make a batch full."""
FLUSH_S = 0.5
"""The longest a line waits for its batch."""
BATCHES_WAITING_MAX = 64
"""Batches that the thread may be behind (about 5 MB); more are dropped."""
LINE_BYTES_MAX = 2048

_encode = msgspec.json.Encoder().encode


class AccessLog:
    """`open()` starts the thread; `close()` writes what is left and ends it. The sink stays its owner's to close."""

    def __init__(self, sink: BinaryIO, wall_clock: Callable[[], float]) -> None:
        self._sink = sink
        self._wall_clock = wall_clock
        self._batch: list[bytes] = []
        self._batches: queue.Queue[list[bytes] | None] = queue.Queue(BATCHES_WAITING_MAX)
        self._flushing: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._write_all, name="toque-access-log", daemon=True)
        self.dropped = 0

    def open(self) -> None:
        """Start to write."""
        self._thread.start()

    def write(self, served: Served) -> None:
        """Add one line to the batch. It is encoded here, for a thread that encoded would hold the lock we all share."""
        batch = self._batch
        batch.append(encode_line(self._wall_clock(), served))
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
        self._thread.join(timeout=FLUSH_S)

    def _write_all(self) -> None:
        while (batch := self._batches.get()) is not None:
            try:
                self._sink.write(b"".join(batch))
                self._sink.flush()
            except (OSError, ValueError):  # a full disk, a closed pipe: serving goes on
                self.dropped += len(batch)


def encode_line(at: float, served: Served) -> bytes:
    """Write one line, the time in front, where people and log readers look for it."""
    encoded = _encode(served)
    fields = encoded[1:] if len(encoded) <= LINE_BYTES_MAX else b'"too_long":true}'
    second = int(at)
    return b'{"time":"%b.%03d+00:00",%b\n' % (_to_the_second(second), (at - second) * 1000, fields)


@lru_cache(maxsize=2)
def _to_the_second(at: int) -> bytes:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode("ascii")
