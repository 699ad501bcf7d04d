"""How soon and how whole toque is back: killed replicas, twice the capacity, retry storms, and after a burst.

python bench/recovery/run.py [--quick] [--only PART ...] [--folder DIR] [--json FILE] [--times FILE]
                             (all: about 30 minutes; --quick: under 30 s a part)

Parts: `restarts` (SIGKILL to the next good answer), `kills` (a kill every 20 s under load for 10 minutes), `soak` (O02),
`storm` (O03), `metastable` (O15).
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import kills
import overload

PARTS = ("restarts", "kills", "soak", "storm", "metastable")
TIMED = {
    "SIGKILL to the next good answer: fake, 2 replicas": "R01",
    "SIGKILL to the next good answer: fake, 1 replica": "R14",
    "O15: five times the capacity for 60 s, then half; 2 retries": "O15",
}
"""The fault of docs/reference/faults.md whose recovery a case measures."""


def main() -> None:
    """Print a table a case, and when asked write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short runs, and no embedded model")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part, repeatable; all by default")
    parser.add_argument("--folder", type=Path, help="keep settings, journals and access lines here")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--times", type=Path, help="put the times of recovery by fault here, beside what is there")
    chosen = parser.parse_args()
    told = []
    with tempfile.TemporaryDirectory() as temporary:
        for part in chosen.only or PARTS:
            for row in rows(part, (chosen.folder or Path(temporary)) / part, quick=chosen.quick):
                told.append({"part": part, **row})
                print(table(row), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(told, indent=2) + "\n")
    if chosen.times:
        put_times(told, chosen.times)


def rows(part: str, folder: Path, *, quick: bool) -> Iterator[Mapping[str, object]]:
    """Run one part and yield its cases."""
    match part:
        case "restarts":
            yield from kills.restarts(folder, quick=quick)
        case "kills":
            yield kills.under_load(folder, quick=quick)
        case "soak":
            yield overload.soak(folder, quick=quick)
        case "storm":
            yield overload.storm(folder, quick=quick)
        case _:
            for retries in (overload.SDK_RETRIES,) if quick else (0, overload.SDK_RETRIES):
                yield overload.metastable(folder / str(retries), retries, quick=quick)


def put_times(told: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Keep what a file tells of other faults, and write what was found of these."""
    times = json.loads(path.read_text("utf-8")) if path.exists() else {}
    for row in told:
        if name := TIMED.get(row["case"]):
            seconds = row.get("median_s", row.get("back_to_normal_s"))
            times[name] = {"seconds": round(seconds, 2), "how": f"bench/recovery, {row['case']}"}
    path.write_text(json.dumps(dict(sorted(times.items())), indent=2) + "\n")


def table(row: Mapping[str, object]) -> str:
    """Return one case as a Markdown table."""
    cells = [f"| {name.replace('_', ' ')} | {_shown(content)} |" for name, content in row.items() if name != "case"]
    return "\n".join([f"| {row['case']} | |", "|---|---|", *cells, ""])


def _shown(content: object) -> str:
    return f"{content:.3f}" if isinstance(content, float) else str(content)


if __name__ == "__main__":
    main()
