"""How late toque's event loop is under each load: a timer inside of it, beside the latencies that clients see.

python bench/gateway/lag.py [--cases TEXT] [--seconds S] [--json FILE]   (half a minute; needs Linux, a C compiler, two cores)
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import install
from cases import CASES, Case
from contenders import Toque
from lateness import FILE
from rig import Rig, RigError, build
from run import cores

TOLD_S = 5.0
COLUMNS = (
    "timer late, p50 us",
    "p99",
    "most",
    "answer or first chunk, p99",
    "chunk's way, p50",
    "p99",
    "core",
    "CPU us",
)


class Watched(Toque):
    """It says how late it is."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    def environment(self, mock_ports: Sequence[int]) -> Mapping[str, str]:
        """With the timer switched on."""
        return {**super().environment(mock_ports), FILE: str(self.file)}

    def lateness(self) -> dict[str, float]:
        """Ask for the lateness since the last time."""
        self.file.unlink(missing_ok=True)
        self._signal(signal.SIGUSR1)
        deadline = time.monotonic() + TOLD_S
        while not self.file.exists():
            if time.monotonic() > deadline:
                raise RigError("toque does not say how late it is.")
            time.sleep(0.01)
        told: dict[str, float] = json.loads(self.file.read_text())
        return told


def measure(rig: Rig, toque: Watched, case: Case, seconds: float) -> list[float]:
    """Run one load; returns a figure a column."""
    begun: list[float] = []

    def begin() -> None:
        toque.lateness()
        begun.append(toque.cpu_s())

    seen = rig.load(case, toque.port, 0.4 + case.connections * 0.001, seconds, begin)
    used_s = toque.cpu_s() - begun[0]
    late = toque.lateness()
    units = seen.chunks if case.streams else seen.requests
    answered = seen.first_chunk_us if case.streams else seen.total_us
    share = [used_s / seen.seconds, used_s / max(units, 1) * 1e6]
    return [late["p50_us"], late["p99_us"], late["most_us"], answered[1], *seen.chunk_way_us, *share]


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", metavar="TEXT", default="", help="only cases whose name holds this text")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load (default 2)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures")
    args = parser.parse_args()
    found: dict[str, list[float]] = {}
    try:
        gateway_core, rig_core = cores()
        install.FOLDER.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory() as folder, Rig(build(install.FOLDER), rig_core, Path(folder)) as rig:
            toque = Watched(Path(folder) / "late.json")
            try:
                toque.start(Path(folder) / "toque", rig.ports, gateway_core)
                toque.work()
                for case in (case for case in CASES if args.cases in case.name):
                    found[case.name] = measure(rig, toque, case, args.seconds)
                    toque.rest()
                    toque.work()
            finally:
                toque.stop()
    except RigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"| load | {' | '.join(COLUMNS)} |\n|{' --- |' * (len(COLUMNS) + 1)}")
    for name, row in found.items():
        print(f"| {name} | {' | '.join(f'{figure:,.2f}' if figure < 100 else f'{figure:,.0f}' for figure in row)} |")
    if args.json:
        args.json.write_text(json.dumps({name: dict(zip(COLUMNS, row, strict=True)) for name, row in found.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
