"""What the stories of control groups are told with: which of them this machine lets us make, and a tree that is none."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from toque.drivers.hierarchy import find_place


def _can_make(controller: str) -> bool:
    try:
        path = find_place(controller).path / f"toque-tests-{os.getpid()}"
        path.mkdir()
    except OSError:
        return False
    with suppress(OSError):
        path.rmdir()
    return True


needs_cpu_groups = pytest.mark.skipif(not _can_make("cpu"), reason="no control groups with cpu can be made here")
needs_memory_groups = pytest.mark.skipif(
    not _can_make("memory"), reason="no control groups with memory can be made here"
)


class FakeTree:
    """Control groups of version 2 as plain files: what is written can be read, and no kernel objects."""

    def __init__(self, folder: Path, controllers: str = "cpu memory pids") -> None:
        self.proc = folder / "proc"
        self.group = folder / "cgroup" / "toque.service"
        (self.proc / "self").mkdir(parents=True)
        self.group.mkdir(parents=True)
        (self.proc / "self/cgroup").write_text("0::/toque.service\n")
        mount = f"30 23 0:27 / {folder}/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
        (self.proc / "self/mountinfo").write_text(f"22 1 8:1 / / rw - ext4 /dev/root rw\n{mount}")
        (self.group / "cgroup.controllers").write_text(controllers)
        (self.group / "cgroup.subtree_control").write_text("")

    def replicas(self) -> list[Path]:
        """The groups made below."""
        return sorted(path for path in self.group.iterdir() if path.is_dir())
