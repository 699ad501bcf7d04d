"""How fast is the simulator? Requests simulated a second by policy and trace length, beside the same queue written in SimPy.

python bench/simulator/run.py [--quick] [--rounds N] [--json FILE]   (some minutes; --quick a quarter of one)

SimPy simulates a fixed number of slots and one wait a request; toque runs its production core, its guard, its measures and a
policy. Both sides take turns in every round, with the same arrivals, and both use one core; figures are by CPU time, medians with the
lowest and highest.
"""

import argparse
import gc
import json
import platform
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from toque_side import REPLICAS, SERVICE_S, SLOTS, seconds

from toque.core.scaling import POLICIES
from toque.sim.arrival import Arrival

ENVIRONMENT = Path(__file__).parents[2] / ".bench" / "simulator"
VERSION = "4.1.1"
LENGTHS = (1_000, 10_000, 100_000)
LOAD = 0.9
"""Of all slots of the fixed size; the rate of Poisson arrivals follows from it."""
SIMPY = "SimPy, fixed"
_Side = Callable[[Sequence[Arrival]], tuple[float, float]]


def workload(requests: int) -> list[Arrival]:
    """Return Poisson arrivals, the same each time."""
    chance, now, arrivals = random.Random(1), 0.0, []
    for _ in range(requests):
        now += chance.expovariate(LOAD * REPLICAS * SLOTS / SERVICE_S)
        arrivals.append(Arrival(now))
    return arrivals


def simpy_python(may_install: bool) -> Path | None:
    """Return an interpreter that has SimPy: this one, or that of an environment made for it; None where it cannot be had."""
    if _has_simpy(Path(sys.executable)):
        return Path(sys.executable)
    python = ENVIRONMENT / "bin" / "python"
    if may_install and not _has_simpy(python):
        install = [str(python), "-m", "pip", "install", "-qq", f"simpy=={VERSION}"]
        for command in ([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], install):
            if subprocess.run(command, capture_output=True, check=False).returncode:
                return None
    return python if _has_simpy(python) else None


def _has_simpy(python: Path) -> bool:
    return (
        python.exists()
        and not subprocess.run([python, "-c", "import simpy"], capture_output=True, check=False).returncode
    )


def simpy_seconds(python: Path, arrivals: Sequence[Arrival]) -> tuple[float, float]:
    """Run the SimPy side in a process of its own."""
    times = "\n".join(f"{arrival.at!r}" for arrival in arrivals)
    command = [python, Path(__file__).parent / "simpy_side.py", str(SLOTS * REPLICAS), str(SERVICE_S)]
    told = subprocess.run(command, input=times, capture_output=True, text=True, check=True).stdout.split()
    return float(told[0]), float(told[1])


def sides(policies: Sequence[str], may_install: bool) -> dict[str, _Side]:
    """Return who takes part, the other product first."""
    chosen: dict[str, _Side] = {}
    if python := simpy_python(may_install):
        chosen[SIMPY] = lambda arrivals: simpy_seconds(python, arrivals)
    else:
        print("SimPy cannot be had here, and is left out", file=sys.stderr)
    for policy in policies:
        chosen[f"toque, {policy}"] = lambda arrivals, policy=policy: seconds(policy, arrivals)
    return chosen


def compare(contenders: dict[str, _Side], requests: int, rounds: int) -> list[dict[str, object]]:
    """Run all in turns; return one row each, in requests a second."""
    arrivals = workload(requests)
    gc.collect()
    gc.freeze()
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    waits: dict[str, float] = {}
    for _ in range(rounds):
        for name, side in contenders.items():
            elapsed_s, waits[name] = side(arrivals)
            rates[name].append(requests / elapsed_s)
    base = median(rates[SIMPY]) if SIMPY in rates else None
    return [
        {
            "contender": name,
            "requests": requests,
            "per_s": median(measured),
            "lowest": min(measured),
            "highest": max(measured),
            "simpy_ratio": median(measured) / base if base else None,
            "mean_wait_s": waits[name],
        }
        for name, measured in rates.items()
    ]


def table(rows: Sequence[dict[str, object]]) -> str:
    """Return Markdown, one row a contender."""
    lines = [
        "| requests | | requests per CPU second | lowest to highest | x SimPy | mean wait, s |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = f"{row['simpy_ratio']:.2f}" if row["simpy_ratio"] else "-"
        spread = f"{row['lowest']:,.0f} to {row['highest']:,.0f}"
        lines.append(
            f"| {row['requests']:,} | {row['contender']} | {row['per_s']:,.0f} | {spread} | {ratio} | {row['mean_wait_s']:.4f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table, and when asked write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="2,000 requests, two policies, one round; SimPy only where it is already"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each takes its turn")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    chosen = parser.parse_args()
    policies = ["fixed", "concurrency"] if chosen.quick else sorted(POLICIES, key=lambda name: name != "fixed")
    contenders = sides(policies, may_install=not chosen.quick)
    lengths, rounds = ((2_000,), 1) if chosen.quick else (LENGTHS, chosen.rounds)
    rows = [row for length in lengths for row in compare(contenders, length, rounds)]
    print(table(rows))
    if chosen.json:
        chosen.json.write_text(json.dumps({"python": platform.python_version(), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
