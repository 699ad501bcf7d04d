"""The census: which gateways may live, and which are proven dead.

Law: silence is no proof. On one machine the proof is the kernel's: there is no such process any more. In a cluster it is that the
Pod is gone, which whoever watches it says. What nothing is known of may live.
"""

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

_START_FIELD = 19
"""Of /proc/PID/stat, counted after the name: when a process began, in ticks since the machine did."""


class Census(Protocol):
    """Who knows of gateways what no connection tells. A gateway is a name and an incarnation: one process of that name."""

    async def expected(self) -> Mapping[str, str]:
        """Gateways that may hold slots when a controller begins to lead: incarnations by name (empty: not known which)."""
        ...

    async def dead(self, silent: Mapping[str, str]) -> Iterable[str]:
        """Name those of these that are proven dead."""
        ...

    def note(self, guests: Mapping[str, str]) -> None:
        """Remember who may hold slots from now on."""
        ...


class LocalCensus:
    """Of gateways on one machine, which a file remembers for the next controller there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._noted: Mapping[str, str] = {}

    async def expected(self) -> Mapping[str, str]:
        """Read who was there last, without those that are dead."""
        try:
            noted = msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
        except (OSError, msgspec.MsgspecError):
            return {}
        return {name: incarnation for name, incarnation in noted.items() if not is_dead(incarnation)}

    async def dead(self, silent: Mapping[str, str]) -> Iterable[str]:
        """Look for the processes."""
        return [name for name, incarnation in silent.items() if is_dead(incarnation)]

    def note(self, guests: Mapping[str, str]) -> None:
        """Write the file, where something changed; whole or not at all."""
        if guests != self._noted:
            self._noted = dict(guests)
            draft = self._path.with_suffix(".draft")
            draft.write_bytes(msgspec.json.encode(self._noted))
            draft.replace(self._path)


def this_incarnation() -> str:
    """Name this process as no other ever is: machine, process, when it began, and chance."""
    pid = os.getpid()
    return f"{_machine()}:{pid}:{_began(pid)}:{secrets.token_hex(4)}"


def is_dead(incarnation: str) -> bool:
    """Whether it is proven that a process is gone; one on another machine never is."""
    machine, _, rest = incarnation.partition(":")
    pid, _, rest = rest.partition(":")
    began = rest.partition(":")[0]
    if machine != _machine() or not pid.isdecimal() or not machine:
        return False
    return _began(int(pid)) != began


def _machine() -> str:
    """Name this run of this machine, and the processes that can see each other on it; empty where the kernel does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink().name.strip('pid:[]')}"
    except OSError:
        return ""


def _began(pid: int) -> str:
    """When a process began; empty where there is none, or only what is left of it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in {"Z", "X"} else fields[_START_FIELD]
