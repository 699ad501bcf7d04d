"""What a child tells on its status pipe: one JSON object a line, one object a phase.

Law: the phases come in the order of `Phase`; a line that is no status is as if it were not there.
"""

from collections.abc import Callable
from enum import StrEnum

import msgspec

LINE_BYTES_MAX = 64 * 1024


class Phase(StrEnum):
    """How far a child is: its process runs, its model comes in, is in, it answers; or why it never will."""

    SPAWNED = "spawned"
    LOADING = "loading"
    LOADED = "loaded"
    READY = "ready"
    FAILED = "failed"


class Status(msgspec.Struct, frozen=True):
    """`progress` is a share of the model (0 to 1), `port` is on 127.0.0.1, `reason` one sentence for a person."""

    phase: Phase
    progress: float = 0.0
    port: int = 0
    reason: str = ""


class StatusLines:
    """Splits the pipe's bytes into statuses and hands them to `hear`."""

    __slots__ = ("_hear", "_rest")

    def __init__(self, hear: Callable[[Status], None]) -> None:
        self._hear = hear
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take a piece of the stream. What stays without an end of line is bounded."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:LINE_BYTES_MAX]
        for line in lines:
            try:
                status = msgspec.json.decode(line, type=Status)
            except msgspec.DecodeError:
                continue
            self._hear(status)
