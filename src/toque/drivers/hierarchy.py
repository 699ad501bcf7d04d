"""Where control groups can be made: the group this process is in, for each controller, in version 1 or 2.

Law: only looked up, never guessed; what this process may not use is said with its reason. Source: cgroups(7).
"""

from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Place:
    """The directory of this process's own group in the tree that has a controller."""

    controller: str
    version: int
    path: Path


def find_place(controller: str, proc: Path = PROC) -> Place:
    """Return where this process is. Raises `OSError` when no tree here has the controller or it cannot be reached."""
    groups = _own_groups(proc)
    if controller in groups:
        return Place(controller, 1, _reach(groups[controller], _mounts(proc, controller)))
    if "" in groups:
        path = _reach(groups[""], _mounts(proc, ""))
        if controller in (path / "cgroup.controllers").read_text("ascii").split():
            return Place(controller, 2, path)
    raise FileNotFoundError(f"no control groups with the controller {controller} are mounted here")


def _own_groups(proc: Path) -> dict[str, str]:
    """Return this process's group by controller; the one of version 2 has no name."""
    groups: dict[str, str] = {}
    for line in (proc / "self/cgroup").read_text("utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        groups |= dict.fromkeys(controllers.split(","), path)
    return groups


def _mounts(proc: Path, controller: str) -> list[tuple[str, Path]]:
    """Return what is mounted of a controller's tree, and where: a container sees a part of it only."""
    found = []
    for line in (proc / "self/mountinfo").read_text("utf-8").splitlines():
        mount, _, source = line.partition(" - ")
        kind, _, options = source.split()[:3]
        if kind == ("cgroup" if controller else "cgroup2") and (not controller or controller in options.split(",")):
            root, point = mount.split()[3:5]
            found.append((root, Path(point)))
    return found


def _reach(group: str, mounts: list[tuple[str, Path]]) -> Path:
    for root, point in mounts:
        if Path(group).is_relative_to(root):
            return point / Path(group).relative_to(root)
    raise FileNotFoundError(f"its control group {group} is not below what is mounted here")
