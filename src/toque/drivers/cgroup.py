"""One control group around one replica: made, limited, entered, emptied and removed by us.

Law: the group is ours alone, so whoever is in it is the replica's and ends with it. Every call here may wait for the kernel:
not for the event loop's thread. Source: cgroups(7); the kernel's cgroup-v2.rst, cgroup-v1/memory.rst, scheduler/sched-bwc.rst.
"""

import os
import select
import signal
from contextlib import ExitStack, suppress
from pathlib import Path

from toque.drivers.hierarchy import Place
from toque.model.isolation_spec import IsolationSpec

PERIOD_US = 100_000
"""Within each 0.1 s a replica uses its maximum and then rests: the kernel's default, and a pause a reader hardly sees."""
QUOTA_US_MIN = 1_000
"""The kernel takes no less."""
END_S = 1.0
"""A killed process is gone within this, unless it hangs in the kernel."""

Files = tuple[tuple[str, str], ...]
"""What is written into which file of a group, in order."""

_UNIT_SHARES, _SHARES_MIN = 1024, 2
_WEIGHT_UNIT = 100
_OPTIONAL = frozenset({"cpu.idle", "memory.memsw.limit_in_bytes", "memory.swap.max", "memory.oom.group"})
"""Newer kernels have these, or those that count swap."""


def limits(place: Place, spec: IsolationSpec) -> Files:
    """Say what a group at this place is told; nothing where the spec asks nothing of its controller."""
    if place.controller == "memory":
        return _memory_limits(place.version, spec.memory_bytes_max)
    return (*_cpu_weight(place.version, spec), *_cpu_quota(place.version, spec.cpu_max))


def _cpu_weight(version: int, spec: IsolationSpec) -> Files:
    """1. What was said. 2. An idle replica with a group of its own: there its discipline counts no more, so the group's must.
    3. Nothing.
    """
    if spec.cpu_weight:  # 1
        shares = max(_SHARES_MIN, spec.cpu_weight * _UNIT_SHARES // _WEIGHT_UNIT)
        return (("cpu.shares", str(shares)),) if version == 1 else (("cpu.weight", str(spec.cpu_weight)),)
    if spec.limits_cpu and spec.discipline == "idle":  # 2
        least = ("cpu.shares", str(_SHARES_MIN)) if version == 1 else ("cpu.weight", "1")
        return (least, ("cpu.idle", "1"))
    return ()  # 3


def _cpu_quota(version: int, cpu_max: float) -> Files:
    if not cpu_max:
        return ()
    quota_us = max(QUOTA_US_MIN, round(cpu_max * PERIOD_US))
    if version == 1:
        return (("cpu.cfs_period_us", str(PERIOD_US)), ("cpu.cfs_quota_us", str(quota_us)))
    return (("cpu.max", f"{quota_us} {PERIOD_US}"),)


def _memory_limits(version: int, bytes_max: int) -> Files:
    """No swap either: a model that is swapped in and out answers nobody in time, and harms all others."""
    if not bytes_max:
        return ()
    if version == 1:
        return (("memory.limit_in_bytes", str(bytes_max)), ("memory.memsw.limit_in_bytes", str(bytes_max)))
    return (("memory.max", str(bytes_max)), ("memory.swap.max", "0"), ("memory.oom.group", "1"))


class Cgroup:
    """One group of one tree. `path` need not be there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self, files: Files) -> None:
        """Make it and write its limits. Raises `OSError` and leaves nothing where the kernel does not take them."""
        self.path.mkdir()
        try:
            for name, text in files:
                if name not in _OPTIONAL or (self.path / name).exists():
                    (self.path / name).write_text(text, "ascii")
        except OSError:
            with suppress(OSError):
                self.path.rmdir()
            raise

    def admit(self, pid: int) -> None:
        """Move a process with all its threads in; what it starts from now on is in as well. Raises `OSError`."""
        (self.path / "cgroup.procs").write_text(str(pid), "ascii")

    def memory_kills(self) -> int:
        """Return how many of its processes the kernel killed at its memory limit."""
        return self.counter("memory.events", "oom_kill") or self.counter("memory.oom_control", "oom_kill")

    def counter(self, file: str, name: str) -> int:
        """Return a number that the kernel counts in a file of the group; 0 where there is no such file or line."""
        try:
            lines = (self.path / file).read_text("ascii").splitlines()
        except OSError:
            return 0
        return next((int(rest) for found, _, rest in (line.partition(" ") for line in lines) if found == name), 0)

    def end(self) -> bool:
        """Kill whoever is left in it and remove it; False where the kernel keeps somebody for longer than END_S."""
        if not self.path.is_dir():
            return True
        self._kill_members()
        try:
            self.path.rmdir()
        except OSError:
            return False
        return True

    def members(self) -> list[int]:
        """Return the ids of its processes."""
        try:
            return [int(line) for line in (self.path / "cgroup.procs").read_text("ascii").split()]
        except OSError:
            return []

    def _kill_members(self) -> None:
        """Hold on to each by its pidfd first and ask again who is a member: then no id is somebody else's by now."""
        with ExitStack() as stack:
            held: dict[int, int] = {}
            for pid in self.members():
                with suppress(ProcessLookupError):
                    held[pid] = os.pidfd_open(pid)
                    stack.callback(os.close, held[pid])
            for pid in held.keys() & set(self.members()):
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(held[pid], signal.SIGKILL)
            for fd in held.values():
                _await_end(fd)


def _await_end(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll(END_S * 1000)
