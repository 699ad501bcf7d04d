"""What a cluster costs, and who is faster in it: starts, pools at rest, and the scale-up race against HPA and KEDA.

python bench/cluster/run.py [--quick] [--only PART ...] [--folder DIR] [--json FILE] [--page FILE]

Parts: `start` (decision to Pod ready beside a bare Deployment's own start; needs a real control plane, which
`bash .ci/kubernetes` builds), `race` (policies and rules over the same burst, in the simulator), `recorded` (over an
hour of recorded traffic), `step` (the core alone, by the number
of pools), `rest` (processor time, memory and API calls by the number of pools, over a simulated API server).
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from race import race, recorded
from rest import rest
from start import start
from step import step

Row = Mapping[str, object]
PARTS = ("start", "race", "recorded", "step", "rest")
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def main() -> None:
    """Print a table a part, and when asked write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs, under a minute")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part, repeatable; all by default")
    parser.add_argument("--folder", type=Path, help="keep settings and logs here")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--page", type=Path, help="also put the tables between the marks of this page")
    chosen = parser.parse_args()
    told: dict[str, Sequence[Row]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for part in chosen.only or PARTS:
            if part == "recorded" and chosen.quick:
                continue
            told[part] = measured(part, (chosen.folder or Path(temporary)) / part, quick=chosen.quick)
            print(f"## {part}\n\n{table(told[part])}\n", flush=True)
    if chosen.page:
        before, _, rest_of_it = chosen.page.read_text().partition(BEGIN)
        tables = "\n\n".join(f"### {part}\n\n{table(rows)}" for part, rows in told.items())
        chosen.page.write_text(f"{before}{BEGIN}\n{tables}\n{END}{rest_of_it.partition(END)[2]}")
    if chosen.json:
        chosen.json.write_text(json.dumps(told, indent=2) + "\n")


def measured(part: str, folder: Path, *, quick: bool) -> Sequence[Row]:
    """Run one part."""
    match part:
        case "start":
            return start(folder, quick=quick)
        case "race":
            return race(quick=quick)
        case "recorded":
            return recorded()
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
