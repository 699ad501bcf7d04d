"""What this process takes of what it may have: memory and open files, from /proc and its limits.

Law: memory is this process's own resident set, not its replicas': they have their own budget, and one that is ended in their
place would not relieve the gateway. It is held against the configured bound, else the least of the control group's limit, the
process's own limits and the machine's memory.
"""

import os
import resource
from collections.abc import Callable
from pathlib import Path

from toque.app.machine import memory_limit_bytes
from toque.wire.descriptors import descriptor_limit

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")
_FILES = Path("/proc/self/fd")


class ProcessSensor:
    """See `ports.PressureSensor`. `memory_bytes_max` returns the configured bound, 0 for whatever bounds this process."""

    def __init__(self, memory_bytes_max: Callable[[], int]) -> None:
        self._memory_bytes_max = memory_bytes_max
        self._limit_bytes = min(memory_limit_bytes(), _own_limit_bytes())
        self._files_max = descriptor_limit()

    def measure(self) -> tuple[float, float]:
        """Return both shares; a file that cannot be read counts as no pressure."""
        return _resident_bytes() / (self._memory_bytes_max() or self._limit_bytes), _open_files() / self._files_max


def _resident_bytes() -> int:
    try:
        return int(_STATM.read_bytes().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return 0


def _open_files() -> int:
    """Count open descriptors: Linux 6.2 and later say it as the size of the directory, others by listing it."""
    try:
        return _FILES.stat().st_size or sum(1 for _ in _FILES.iterdir())
    except OSError:
        return descriptor_limit()


def _own_limit_bytes() -> float:
    limits = (resource.getrlimit(which)[0] for which in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    return min((limit for limit in limits if limit != resource.RLIM_INFINITY), default=float("inf"))
