"""What a process and its descendants have used, read from /proc; and ending them."""

import os
import signal
import subprocess
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PATIENCE_S = 10.0


def cpu_s(pid: int) -> float:
    """Seconds of user and system time of the whole family; precise to 10 ms."""
    return sum(int(fields[11]) + int(fields[12]) for fields in _family(pid)) / _TICKS


def rss_mb(pid: int) -> float:
    """Resident memory of the whole family; pages that they share count for each."""
    return sum(int(fields[21]) for fields in _family(pid)) * _PAGE / 1e6


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process that leads a group of its own to end, then force its group."""
    process.terminate()
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _family(pid: int) -> list[list[str]]:
    """The fields behind the name in /proc/PID/stat, of a process and all its descendants."""
    everyone = {int(path.name): fields for path in Path("/proc").glob("[0-9]*") if (fields := _stat(path))}
    family, parents = [], [pid]
    while parents:
        parent = parents.pop()
        if parent in everyone:
            family.append(everyone[parent])
        parents += [child for child, fields in everyone.items() if int(fields[1]) == parent]
    return family


def _stat(path: Path) -> list[str]:
    try:
        return (path / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # it ended meanwhile
        return []
