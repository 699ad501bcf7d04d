"""Room for control groups below this process's own one, in a tree of version 2.

Law: there a group hands controllers down only while no process is in it, so this process steps aside into a leaf first; closing
puts everything back. Source: the kernel's cgroup-v2.rst, "No Internal Process Constraint".
"""

import errno
import os
from contextlib import suppress
from pathlib import Path


class Delegation:
    """One for a group's `path`; `leaf` is the group beside the replicas' that this process may step into."""

    def __init__(self, path: Path, leaf: Path) -> None:
        self._path = path
        self._leaf = leaf
        self._handed_down: set[str] = set()

    def hand_down(self, controller: str) -> None:
        """Let groups below have a controller. Raises `OSError` (EBUSY: other processes are in our group) and changes nothing."""
        control = self._path / "cgroup.subtree_control"
        if controller in control.read_text("ascii").split():
            return
        try:
            control.write_text(f"+{controller}", "ascii")
        except OSError as error:
            if error.errno != errno.EBUSY or self._leaf.exists():
                raise
            self._step_aside(control, controller)
        self._handed_down.add(controller)

    def close(self) -> None:
        """Take back what was handed down, and go back to where we were. The replicas' groups must be gone."""
        with suppress(OSError):
            for controller in self._handed_down:
                (self._path / "cgroup.subtree_control").write_text(f"-{controller}", "ascii")
            if self._leaf.exists():
                self._step_back()

    def _step_aside(self, control: Path, controller: str) -> None:
        self._leaf.mkdir()
        try:
            _move_here(self._leaf)
            control.write_text(f"+{controller}", "ascii")
        except OSError:
            self._step_back()
            raise

    def _step_back(self) -> None:
        _move_here(self._path)
        self._leaf.rmdir()


def _move_here(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()), "ascii")
