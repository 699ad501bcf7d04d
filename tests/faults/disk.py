"""Disks that lose their power or are slow, for a process with its files in one folder."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("disk.c")


@dataclass(frozen=True)
class Disk:
    """`environment`: what a process needs to have it under its working directory."""

    environment: Mapping[str, str]
    kept: Path

    def survivors(self, folder: Path) -> Path:
        """Make a folder with what is still there when the power is lost now: contents and names that were synced."""
        folder.mkdir()
        for name in (self.kept / ".names").read_text().splitlines():
            if (self.kept / name).is_file():
                shutil.copy(self.kept / name, folder)
        return folder


def make_disk(folder: Path, *, sync_ms: int = 0) -> Disk:
    """Make a disk, or skip the test where nothing can be compiled."""
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    library, kept = folder / "disk.so", folder / "kept"
    kept.mkdir()
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return Disk({"LD_PRELOAD": str(library), "TOQUE_DISK": str(kept), "TOQUE_DISK_MS": str(sync_ms)}, kept)
