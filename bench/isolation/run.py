"""Does batch disturb chat? Interactive TTFT beside a saturating backlog, what batch gets of what is idle, fairness, a million items.

python bench/isolation/run.py [--quick] [--only PART ...] [--folder DIR] [--json FILE]     (all: 8 minutes; --quick: 20 s a part)

Parts: `fakes` (TTFT and batch throughput on fake agents), `engine` (the same on the embedded model, and on its server without toque),
`tenants` (ten of unequal appetite), `million` (a backlog of a million items: time, memory, TTFT; O04). What keeps processes
apart on one machine is measured by cage.py.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import backlogs
import chat
import tenants

PARTS = ("fakes", "engine", "tenants", "million")


def main() -> None:
    """Print a table a part, and when asked write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short runs, a small backlog, and no embedded model")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part, repeatable; all by default")
    parser.add_argument("--folder", type=Path, help="keep settings and stores here")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    chosen = parser.parse_args()
    told = []
    with tempfile.TemporaryDirectory() as temporary:
        for part in chosen.only or PARTS:
            if part == "engine" and chosen.quick and not chosen.only:
                continue
            row = {"part": part, **measured(part, (chosen.folder or Path(temporary)) / part, quick=chosen.quick)}
            told.append(row)
            print(table(row), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(told, indent=2) + "\n")


def measured(part: str, folder: Path, *, quick: bool) -> Mapping[str, object]:
    """Run one part."""
    match part:
        case "fakes":
            return chat.on_fakes(folder, quick=quick)
        case "engine":
            return chat.on_the_engine(folder, quick=quick)
        case "tenants":
            return tenants.fairness(folder, quick=quick)
        case _:
            return backlogs.million(folder, quick=quick)


def table(row: Mapping[str, object]) -> str:
    """Return one part as a Markdown table."""
    cells = [f"| {name.replace('_', ' ')} | {_shown(content)} |" for name, content in row.items() if name != "part"]
    return "\n".join([f"| {row['part']} | |", "|---|---|", *cells, ""])


def _shown(content: object) -> str:
    return f"{content:.3f}" if isinstance(content, float) else str(content)


if __name__ == "__main__":
    main()
