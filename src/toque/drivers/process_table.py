"""What the kernel tells of processes under /proc.

Law: a process is named by its id and its start time together; an id alone may be somebody else's by now.
"""

from pathlib import Path

_PROC = Path("/proc")
_STATES_DEAD = ("Z", "X")
_STAT_PROCESS_GROUP = 2  # proc_pid_stat(5), counted from the state, the field after the name
_STAT_START_TIME = 19


def start_time(pid: int) -> int | None:
    """Return when a running process began, in clock ticks since boot; None when there is none, or a zombie."""
    fields = _stat(pid)
    return int(fields[_STAT_START_TIME]) if fields and fields[0] not in _STATES_DEAD else None


def boot_id() -> str:
    """Return what is different after every boot."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def measure_group_bytes(group_id: int) -> int:
    """Sum up the proportional set size of every process in a group: pages shared among replicas count in parts.

    It reads some hundred small files: not for the event loop's thread.
    """
    return sum(_proportional_bytes(pid) for pid in process_group(group_id))


def process_group(group_id: int) -> list[int]:
    """Return the ids of all processes of a group, zombies too."""
    pids = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if _group_of(pid) == group_id]


def carries(pid: int, entry: str) -> bool:
    """Whether a process was given `NAME=content` in its environment."""
    try:
        given = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return entry.encode() in given.split(b"\0")


def _group_of(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[_STAT_PROCESS_GROUP]) if fields else None


def _stat(pid: int) -> list[str]:
    try:
        line = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return []
    return line.rpartition(")")[2].split()  # a name may hold blanks and parentheses itself


def _proportional_bytes(pid: int) -> int:
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
