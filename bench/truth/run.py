"""Does the simulator tell the truth? The same traffic through a live toque and through its simulation, side by side.

python bench/truth/run.py [--quick] [--embedded] [--json FILE]   (about seven minutes; --quick one; --embedded five more)

Fake agents as processes under the policies concurrency, rate and fixed; with --embedded also the embedded model against its
profile from `toque calibrate`. The live run's own journal gives the arrivals and the cold starts that are simulated.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import embedded
import fakes

TITLES = {
    "replica_hours": "replica-hours",
    "attainment": "waited at most 2 s",
    "mean_wait_s": "mean wait, s",
    "ttft_mean_s": "TTFT mean, s",
    "ttft_p50_s": "TTFT p50, s",
    "ttft_p95_s": "TTFT p95, s",
    "tokens_per_s": "output tokens/s",
    "starts": "starts",
}


def table(row: Mapping[str, Any]) -> str:
    """Return one comparison as a Markdown table, and below it what else there is to know."""
    columns = {name.replace("_", ", "): row[name] for name in row if name.startswith("simulated")}
    lines = [f"| {row['case']} | live | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for name, title in TITLES.items():
        live = row["live"][name]
        cells = [f"{figures[name]:.3f} ({difference(figures[name], live)})" for figures in columns.values()]
        lines.append(f"| {title} | {live:.3f} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"{row.get('noise') or row.get('profile')}", ""])


def difference(simulated: float, live: float) -> str:
    """Return how far the simulation is from what happened."""
    return f"{simulated / live - 1:+.1%}" if live else "-"


def main() -> None:
    """Print the tables, and when asked write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a quarter of the traffic, under one policy")
    parser.add_argument("--policy", choices=fakes.POLICIES, action="append", help="fake agents under this one only")
    parser.add_argument("--embedded", action="store_true", help="the embedded model, too")
    parser.add_argument("--only-embedded", action="store_true", help="the embedded model alone")
    parser.add_argument("--folder", type=Path, help="keep journals, settings and profiles here")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    chosen = parser.parse_args()
    told = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        fake = fakes.rows(folder, chosen.policy or list(fakes.POLICIES), quick=chosen.quick)
        real = embedded.rows(folder, quick=chosen.quick) if chosen.embedded or chosen.only_embedded else ()
        for row in chain(() if chosen.only_embedded else fake, real):
            told.append(row)
            print(table(row), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
