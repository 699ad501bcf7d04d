"""Children and their control groups on record, so that the next start can end what this process could not take with it.

Law: a process is killed only when its owner is gone, and only when its id and start time are both on record, or when it is
in the group of one on record and carries the owner's mark: what a child started itself outlives it when we are killed. A control
group is removed, with whoever is in it, only when its path is on record and its name tells that it is that owner's.
"""

import os
import secrets
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from toque.drivers.cgroup import Cgroup
from toque.drivers.process_table import boot_id, carries, process_group, start_time

MARK = "TOQUE_OWNER"
"""Environment of every child: whose it is."""

_GROUP = "cgroup_"
_GROUP_NAME = "toque-"


class Leftovers:
    """One directory for each owner, named by boot, process id and start time, with one empty file for each child and one
    for each control group, which tells its path.

    `mark` belongs into the environment of every child, which hands it on to those it starts itself.
    """

    def __init__(self, state_dir: Path) -> None:
        self._root = state_dir / "children"
        self._own = self._root / _name(os.getpid())
        self.mark = {MARK: self._own.name}

    def reap(self) -> int:
        """End the children of owners that are gone, forget these owners, and return how many were ended."""
        if not self._root.is_dir():
            return 0
        abandoned = [owner for owner in self._root.iterdir() if not _is_alive(owner.name)]
        ended = sum(_end(page.name, owner.name) for owner in abandoned for page in owner.iterdir() if _is_child(page))
        for owner in abandoned:
            _close(owner)
        return ended

    def record(self, pid: int) -> Path:
        """Put a child on record and return the page; a full disk only means that there is none."""
        page = self._own / _name(pid)
        with suppress(OSError):
            self._own.mkdir(parents=True, exist_ok=True)
            page.touch()
        return page

    def group_name(self) -> str:
        """Return a name for a control group of this owner that no other has."""
        return f"{_GROUP_NAME}{self._own.name}-{secrets.token_hex(4)}"

    def record_group(self, path: Path) -> Path:
        """Put a control group on record before it is made, and return the page."""
        page = self._own / f"{_GROUP}{path.name}"
        with suppress(OSError):
            self._own.mkdir(parents=True, exist_ok=True)
            page.write_text(str(path), "utf-8")
        return page

    def strike(self, page: Path) -> None:
        """Take a child or a group off the record: it is gone."""
        with suppress(OSError):
            page.unlink()

    def close(self) -> None:
        """Leave no trace of this owner but of groups that the kernel still holds: they are the next start's to remove."""
        _close(self._own)


def _close(owner: Path) -> None:
    groups = [page for page in owner.glob(f"{_GROUP}*") if not _end_group(page, owner.name)]
    if not groups:
        shutil.rmtree(owner, ignore_errors=True)


def _end_group(page: Path, owner: str) -> bool:
    """Remove a group on record; True when it is gone, or not that owner's to remove."""
    try:
        path = Path(page.read_text("utf-8"))
    except OSError:
        return True
    return not path.name.startswith(f"{_GROUP_NAME}{owner}-") or Cgroup(path).end()


def _is_child(page: Path) -> bool:
    return not page.name.startswith(_GROUP)


def _name(pid: int) -> str:
    return f"{boot_id()}_{pid}_{start_time(pid)}"


def _is_alive(name: str) -> bool:
    boot, _, process = name.partition("_")
    pid, _, began = process.partition("_")
    return boot == boot_id() and pid.isdigit() and str(start_time(int(pid))) == began


def _end(name: str, owner: str) -> int:
    """End what is left of one child's group, and return how many processes that were."""
    boot, _, process = name.partition("_")
    if boot != boot_id():
        return 0
    members = process_group(int(process.partition("_")[0]))
    return sum(_kill(pid, lambda pid: _name(pid) == name or carries(pid, f"{MARK}={owner}")) for pid in members)


def _kill(pid: int, is_right: Callable[[int], bool]) -> bool:
    """Kill a process if it is the right one, asked when its id can no more become somebody else's."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if is_right(pid):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            return True
    except ProcessLookupError:
        pass
    finally:
        os.close(fd)
    return False
