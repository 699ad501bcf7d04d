"""What a busy neighbour costs, by how it is caged: an interactive victim beside four busy batch processes.

python bench/isolation/cage.py [--quick] [--rounds N] [--seconds S] [--json FILE]      (two minutes; --quick: 10 s)

The noise is caged by the very code that cages replicas, each process in a session of its own, as replicas are. In every round each
cage takes its turn; the share that the victim keeps is of its speed alone just before and just after.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from toque.drivers.cage import Cage, Cages
from toque.drivers.leftovers import Leftovers
from toque.model.isolation_spec import FREE, IsolationSpec

NOISE = 4
BUSY = "while True: pass"
VICTIM = """
import sys, time
seconds, now = float(sys.argv[1]), time.perf_counter
turns, end = 0, now() + seconds / 2
while now() < end:
    turns += 1
late, end = [], now() + seconds / 2
while (asked := now()) < end:
    time.sleep(0.002)
    late.append(now() - asked - 0.002)
print(turns, sorted(late)[int(len(late) * 0.99)])
"""
"""Half of its time it counts, half of it it sleeps 2 ms at a time, as who waits for the next token does, and sees how late it wakes."""

OUTSIDE = "nice 19 from outside, session left alone"
CAGES = {
    "nothing": FREE,
    "SCHED_BATCH": IsolationSpec(scheduling="batch"),
    OUTSIDE: FREE,
    "nice 19": IsolationSpec(nice=19),
    "SCHED_IDLE": IsolationSpec(scheduling="idle"),
    "service_class batch (idle, nice 19)": IsolationSpec("batch"),
    "cores: all on the last one": IsolationSpec(cores=str(max(os.sched_getaffinity(0)))),
    "cpu_weight 6": IsolationSpec(cpu_weight=6),
    "cpu_max 0.05 each": IsolationSpec(cpu_max=0.05),
}


def main() -> None:
    """Print the table, and when asked write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of the victim in each case of a round")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    chosen = parser.parse_args()
    rounds, seconds = (1, 0.4) if chosen.quick else (chosen.rounds, chosen.seconds)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Cages(Leftovers(Path(folder))), rounds, seconds)
    print(table(rows))
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=2) + "\n")


def measure(cages: Cages, rounds: int, seconds: float) -> list[dict[str, object]]:
    """Return a row a cage: shares of its own speed that the victim kept, how late it woke, and what did not hold."""
    kept: dict[str, list[float]] = {name: [] for name in CAGES}
    late: dict[str, list[float]] = {name: [] for name in CAGES}
    objections: dict[str, set[str]] = {name: set() for name in CAGES}
    alone_late = []
    for _ in range(rounds):
        before, _ = victim(seconds)
        for name, spec in CAGES.items():
            with noise(name, spec, cages) as said:
                turns, lateness = victim(seconds)
            after, alone_lateness = victim(seconds)
            kept[name].append(2 * turns / (before + after))
            late[name].append(lateness)
            alone_late.append(alone_lateness)
            objections[name] |= said
            before = after
    rows = [_row(name, kept[name], late[name], objections[name]) for name in CAGES]
    return [_row("(alone)", [1.0], alone_late, set()), *rows]


def victim(seconds: float) -> tuple[int, float]:
    """Run the victim in a session of its own; return what it counted, and its p99 lateness in seconds."""
    argv = [sys.executable, "-c", VICTIM, str(seconds)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, start_new_session=True)
    turns, lateness = done.stdout.split()
    return int(turns), float(lateness)


@contextmanager
def noise(name: str, spec: IsolationSpec, cages: Cages) -> Iterator[set[str]]:
    """Keep busy processes in cages while the block runs; yields what does not hold here."""
    with ExitStack() as stack:
        said = set()
        for _ in range(NOISE):
            cage = Cage(spec, cages)
            stack.callback(cage.close)
            said |= set(cage.open())
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", BUSY], start_new_session=True))
            stack.callback(process.kill)
            said |= set(cage.enter(process.pid))
            if name == OUTSIDE:
                os.setpriority(os.PRIO_PROCESS, process.pid, 19)
        yield {str(objection) for objection in said}


def _row(name: str, kept: Sequence[float], late: Sequence[float], objections: set[str]) -> dict[str, object]:
    return {
        "cage": name,
        "kept": statistics.median(kept),
        "kept_min": min(kept),
        "kept_max": max(kept),
        "late_p99_ms": statistics.median(late) * 1000,
        "does_not_hold": sorted(objections),
    }


def table(rows: Sequence[dict[str, object]]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| how the four are caged | speed kept | lowest, highest | wakes late, p99 |", "|---|---|---|---|"]
    for row in rows:
        spread = f"{row['kept_min']:.0%}, {row['kept_max']:.0%}"
        held = "" if not row["does_not_hold"] else " (does not hold here)"
        lines.append(f"| {row['cage']}{held} | {row['kept']:.0%} | {spread} | {row['late_p99_ms']:.1f} ms |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
