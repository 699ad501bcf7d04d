"""Cages: the limits one replica runs under, made before its process starts and gone after its end.

Law: what cannot be had here is said, with its reason, and the replica runs without it. Every group is on record before it is
there, so that it is found when toque is killed.
"""

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from toque.drivers.cgroup import Cgroup, Files, limits
from toque.drivers.delegation import Delegation
from toque.drivers.hierarchy import PROC, Place, find_place
from toque.drivers.leftovers import Leftovers
from toque.drivers.schedule import schedule
from toque.model.isolation_spec import FREE, IsolationSpec

HOW_TO = "docs/how-to/isolation.md says what each setting needs"

_REASONS = {
    errno.EROFS: ("control groups are read-only here", "set the limit on the container that toque runs in"),
    errno.EBUSY: (
        "other processes share the control group of toque",
        "start it in one of its own: systemd-run --user --scope -p Delegate=yes toque up",
    ),
}
_NO_RIGHT = (
    "this user may not make control groups",
    "run toque as a service with Delegate=yes, or as root: docs/how-to/isolation.md",
)


@dataclass(frozen=True, slots=True)
class Objection:
    """Settings of isolation that do not hold here, why, and what to do about it."""

    settings: tuple[str, ...]
    reason: str
    fix: str

    def __str__(self) -> str:
        verb = "does" if len(self.settings) == 1 else "do"
        return f"{' and '.join(self.settings)} {verb} not hold here: {self.reason}; {self.fix}"


Object = Callable[[Objection], None]


class Cages:
    """What all cages of one driver share: where groups may be made, looked up when the first one needs it."""

    def __init__(self, leftovers: Leftovers, proc: Path = PROC) -> None:
        self.leftovers = leftovers
        self._proc = proc
        self._places: dict[str, Place] = {}
        self._delegations: dict[Path, Delegation] = {}
        self._lock = threading.Lock()

    def place(self, controller: str) -> Place:
        """Return where groups with this controller can be made. Raises `OSError` where they cannot."""
        with self._lock:
            if controller not in self._places:
                place = find_place(controller, self._proc)
                if place.version == 2:
                    self._delegation(place.path).hand_down(controller)
                self._places[controller] = place
            return self._places[controller]

    def close(self) -> None:
        """Put back what was changed to make room."""
        for delegation in self._delegations.values():
            delegation.close()

    def _delegation(self, path: Path) -> Delegation:
        if path not in self._delegations:
            leaf = path / self.leftovers.group_name()
            self.leftovers.record_group(leaf)
            self._delegations[path] = Delegation(path, leaf)
        return self._delegations[path]


class Cage:
    """The limits of one replica; `async with` them around its life. `object_to` hears what does not hold.

    `open`, `enter` and `close` may wait for the kernel: they are what threads do for the others.
    """

    def __init__(self, spec: IsolationSpec, cages: Cages, object_to: Object = lambda _: None) -> None:
        self._spec = spec
        self._cages = cages
        self._object_to = object_to
        self._groups: list[tuple[Cgroup, Path]] = []

    async def __aenter__(self) -> None:
        if self._spec != FREE:
            self._say(await asyncio.to_thread(self.open))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._groups:
            await asyncio.to_thread(self.close)

    async def admit(self, pid: int) -> None:
        """Put a process that was just started under the limits."""
        if self._spec != FREE:
            self._say(await asyncio.to_thread(self.enter, pid))

    def open(self) -> list[Objection]:
        """Make its groups, one for each tree."""
        objections: list[Objection] = []
        told: dict[Path, tuple[Files, tuple[str, ...]]] = {}
        for controller, settings in self._wanted():
            try:
                place = self._cages.place(controller)
            except OSError as error:
                objections.append(_objection(settings, error))
                continue
            files, others = told.get(place.path, ((), ()))
            told[place.path] = ((*files, *limits(place, self._spec)), (*others, *settings))
        for path, (files, settings) in told.items():
            try:
                self._make(path, files)
            except OSError as error:
                objections.append(_objection(settings, error))
        return objections

    def enter(self, pid: int) -> list[Objection]:
        """Put a process, its threads and what they will start under the limits. One that is gone is reported elsewhere."""
        objections: list[Objection] = []
        try:
            schedule(pid, self._spec)
        except OSError as error:
            objections.append(_objection(self._scheduled(), error))
        for group, _ in self._groups:
            try:
                group.admit(pid)
            except ProcessLookupError:
                pass
            except OSError as error:
                objections.append(_objection(("control groups",), error))
        return objections

    def memory_kills(self) -> int:
        """Return how many processes of this cage the kernel killed at the memory limit."""
        return sum(group.memory_kills() for group, _ in self._groups)

    def has(self, pid: int) -> bool:
        """Whether a process is in every group there is of it."""
        return bool(self._groups) and all(pid in group.members() for group, _ in self._groups)

    def counter(self, file: str, name: str) -> int:
        """Return a number that the kernel counts for its groups."""
        return sum(group.counter(file, name) for group, _ in self._groups)

    def close(self) -> None:
        """End whoever is left inside, and remove the groups; one that the kernel still holds stays on record."""
        for group, page in self._groups:
            if group.end():
                self._cages.leftovers.strike(page)
        self._groups.clear()

    def _wanted(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return the controllers that are needed, with the settings that need them."""
        spec = self._spec
        cpu = tuple(name for name in ("cpu_weight", "cpu_max") if getattr(spec, name))
        memory = ("memory_bytes_max",) if spec.memory_bytes_max else ()
        return [(controller, settings) for controller, settings in (("cpu", cpu), ("memory", memory)) if settings]

    def _scheduled(self) -> tuple[str, ...]:
        spec = self._spec
        asked = {"cores": spec.cores, "nice": spec.niceness, "scheduling": spec.discipline != "normal"}
        return tuple(name for name, is_asked in asked.items() if is_asked)

    def _say(self, objections: list[Objection]) -> None:
        for objection in objections:
            self._object_to(objection)

    def _make(self, parent: Path, files: Files) -> None:
        leftovers = self._cages.leftovers
        group = Cgroup(parent / leftovers.group_name())
        page = leftovers.record_group(group.path)
        try:
            group.make(files)
        except OSError:
            leftovers.strike(page)
            raise
        self._groups.append((group, page))


def _objection(settings: tuple[str, ...], error: OSError) -> Objection:
    return Objection(settings, *_explain(settings, error))


def _explain(settings: tuple[str, ...], error: OSError) -> tuple[str, str]:
    """Say in words what stood in the way, and what to do."""
    if error.errno in {errno.EACCES, errno.EPERM}:
        return _NO_RIGHT
    if error.errno == errno.EINVAL and "cores" in settings:
        allowed = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
        return "this process may not use one of these cores", f"it may use {allowed}"
    return _REASONS.get(error.errno or 0, (error.strerror or str(error), HOW_TO))
