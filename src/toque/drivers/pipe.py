"""The reading end of a pipe from a child, drained by the event loop as fast as the child writes.

Law: one read a turn, so that a child that writes without end delays nobody; closing closes the descriptor.
"""

import asyncio
import os
from collections.abc import Callable

READ_BYTES = 64 * 1024


class PipeReader:
    """Hands every piece to `feed` until the other end is closed."""

    __slots__ = ("_fd", "_feed", "_loop")

    def __init__(self, fd: int, feed: Callable[[bytes], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._fd = fd
        self._feed = feed
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._read)

    def drain(self, bytes_max: int) -> None:
        """Take what is in the pipe already, about `bytes_max` at most: after the child's end, nobody else writes."""
        for _ in range(bytes_max // READ_BYTES + 1):
            if not self._read():
                return

    def close(self) -> None:
        """Read no more. Harmless when closed."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> bool:
        if self._fd < 0:
            return False
        try:
            piece = os.read(self._fd, READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        if not piece:
            self.close()
            return False
        self._feed(piece)
        return True
