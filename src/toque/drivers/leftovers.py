"""Children on record, so that the next start can end what this process could not take with it.

Law: only a process whose id and start time are both on record is ever killed, and only when its owner is gone.
"""

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

from toque.drivers.process_table import boot_id, start_time


class Leftovers:
    """One directory for each owner, named by boot, process id and start time, with one empty file for each child."""

    def __init__(self, state_dir: Path) -> None:
        self._root = state_dir / "children"
        self._own = self._root / _name(os.getpid())

    def reap(self) -> int:
        """End the children of owners that are gone, forget these owners, and return how many were ended."""
        if not self._root.is_dir():
            return 0
        abandoned = [owner for owner in self._root.iterdir() if not _is_alive(owner.name)]
        ended = sum(_end(child.name) for owner in abandoned for child in owner.iterdir())
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


def _end(name: str) -> bool:
    if not _is_alive(name):
        return False
    os.killpg(int(name.split("_")[1]), signal.SIGKILL)  # every child leads its own group
    return True
