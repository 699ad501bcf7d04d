"""What this machine has to give: memory and cores, as its control groups and affinity allow.

Law: read once at the start; a limit that cannot be read is no limit.
"""

import os
from pathlib import Path

from toque.model.resources import Resources

MEMORY_SHARE = 0.85
"""Share of the memory that replicas may take: the rest is for the gateway, the page cache and everybody else."""

_UNLIMITED_BYTES = 1 << 60


def measure_machine() -> Resources:
    """Return memory for replicas in bytes and the cores this process may use. GPU memory comes from the settings only."""
    return Resources(
        memory_bytes=int(memory_limit_bytes() * MEMORY_SHARE), cores=min(_affinity_cores(), _cgroup_cores())
    )


def memory_limit_bytes() -> int:
    """Return the memory that this machine, or this process's control group, has in all."""
    return min(_physical_bytes(), _cgroup_memory_bytes())


def _physical_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _affinity_cores() -> float:
    if hasattr(os, "sched_getaffinity"):
        return float(len(os.sched_getaffinity(0)))
    return float(os.cpu_count() or 1)


def _cgroup_memory_bytes() -> int:
    """The limit of this process's control group: v2, then v1."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        words = _words(path)
        if words and words[0].isdecimal():
            return int(words[0])
    return _UNLIMITED_BYTES


def _cgroup_cores() -> float:
    """The quota of this process's control group: v2 says both numbers in one file, v1 in two."""
    quota = _words("/sys/fs/cgroup/cpu.max") or [
        *_words("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
        *_words("/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
    ]
    if len(quota) == 2 and quota[0].isdecimal() and int(quota[1]):
        return int(quota[0]) / int(quota[1])
    return float("inf")


def _words(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []
