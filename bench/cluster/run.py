"""What a cluster costs, and who is faster in it: starts, pools at rest, and the scale-up race against HPA and KEDA.

python bench/cluster/run.py [--quick] [--only PART ...] [--folder DIR] [--json FILE]

Parts: `race` (policies and rules over the same bursts, in the simulator), `rest` (processor time, memory and API calls by the number of
pools, over a simulated API server), `step` (the core alone: a request's cost by pools).
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from race import race
from rest import rest
from step import step

Row = Mapping[str, object]
PARTS = ("race", "step", "rest")


def main() -> None:
    """Print a table a part, and when asked write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs, under a minute")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part, repeatable; all by default")
    parser.add_argument("--folder", type=Path, help="keep settings and logs here")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    chosen = parser.parse_args()
    told: dict[str, Sequence[Row]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for part in chosen.only or PARTS:
            told[part] = measured(part, (chosen.folder or Path(temporary)) / part, quick=chosen.quick)
            print(f"## {part}\n\n{table(told[part])}\n", flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(told, indent=2) + "\n")


def measured(part: str, folder: Path, *, quick: bool) -> Sequence[Row]:
    """Run one part."""
    match part:
        case "race":
            return race(quick=quick)
        case "step":
            return step(quick=quick)
        case _:
            return rest(folder, quick=quick)


def table(rows: Sequence[Row]) -> str:
    """Return one part as a Markdown table."""
    names = list(rows[0])
    head = [f"| {' | '.join(name.replace('_', ' ') for name in names)} |", "|---" * len(names) + "|"]
    return "\n".join(head + [f"| {' | '.join(_shown(row[name]) for name in names)} |" for row in rows])


def _shown(content: object) -> str:
    """A median with its spread, a number, or a word."""
    if isinstance(content, tuple | list):
        middle, least, most = (_shown(each) for each in content)
        return middle if least == most else f"{middle} ({least} to {most})"
    if content is None:
        return "never"
    return f"{content:,.6g}" if isinstance(content, int | float) else str(content)


if __name__ == "__main__":
    main()
