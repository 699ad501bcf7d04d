"""Children on record, so that the next start can end what this process could not take with it.

Law: a process is killed only when its owner is gone, and only when its id and start time are both on record, or when it is
in the group of one on record and carries the owner's mark: what a child started itself outlives it when we are killed.
"""

import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from toque.drivers.process_table import boot_id, carries, process_group, start_time

MARK = "TOQUE_OWNER"
"""Environment of every child: whose it is."""


class Leftovers:
    """One directory for each owner, named by boot, process id and start time, with one empty file for each child.

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
        ended = sum(_end(child.name, owner.name) for owner in abandoned for child in owner.iterdir())
        for owner in abandoned:
            shutil.rmtree(owner, ignore_errors=True)
        return ended

    def record(self, pid: int) -> Path:
        """Put a child on record and return the page; a full disk only means that there is none."""
        page = self._own / _name(pid)
        with suppress(OSError):
            self._own.mkdir(parents=True, exist_ok=True)
            page.touch()
        return page

    def strike(self, page: Path) -> None:
        """Take a child off the record: it is gone."""
        with suppress(OSError):
            page.unlink()

    def close(self) -> None:
        """Leave no trace of this owner."""
        shutil.rmtree(self._own, ignore_errors=True)


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
