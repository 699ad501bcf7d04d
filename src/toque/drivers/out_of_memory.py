"""Whether the kernel killed somebody for want of memory: a SIGKILL alone does not say who sent it.

Law: a number that cannot be read counts as never having grown, so that nothing is blamed on memory without a sign.
"""

from pathlib import Path

VMSTAT = Path("/proc/vmstat")
"""Its line `oom_kill` counts kills for want of memory, of the machine and of every control group (Linux 4.13)."""


def count_memory_kills(path: Path = VMSTAT) -> int:
    """Return how many processes the kernel has killed for want of memory so far; 0 where it does not say."""
    try:
        lines = path.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return 0
    counts = [line.removeprefix("oom_kill ") for line in lines if line.startswith("oom_kill ")]
    return int(counts[0]) if counts and counts[0].isdecimal() else 0
