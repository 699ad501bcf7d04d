"""Which scaling policy is worth its replicas? Traces x cold starts x policies, beside fixed, plan and bound.

python bench/policies/run.py [--quick] [--trace NAME|FILE ...] [--cold-start S ...] [--jobs N] [--json FILE] [--page FILE]

By default the traces that come with toque (some minutes); a longer one by --trace. Every policy runs with its defaults and
with the target that was best on the first half of the trace; the second half is scored. The same command gives the same table.
"""

import argparse
import gc
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, repeat
from pathlib import Path

from cells import GRID, Cell, cut, measure, scaled_policies
from report import put_into, tables

from toque.sim.workload.named import shipped_names

COLD_STARTS_S = (2.0, 30.0, 120.0)
QUICK_S = 900.0


def compare(trace: str, cold_starts_s: Sequence[float], quick: bool) -> list[Cell]:
    """Return the cells of one trace, telling each as it comes."""
    halves = cut(trace, QUICK_S if quick else None)
    gc.freeze()
    policies, grid = (["concurrency", "queue_wait"], (0.5, 1.0)) if quick else (scaled_policies(), GRID)
    cells = []
    for cold_start_s in cold_starts_s:
        cells.append(measure(halves, cold_start_s, policies, grid))
        print(f"{trace}, cold start {cold_start_s:g} s: done", flush=True)
    return cells


def main() -> None:
    """Print the tables, and when asked write them as JSON and into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a quarter of an hour of one trace, two policies")
    parser.add_argument("--trace", action="append", help="a trace's name or file, repeatable; all that come with toque")
    parser.add_argument("--cold-start", action="append", type=float, help="in seconds, repeatable; 2, 30 and 120")
    parser.add_argument("--jobs", type=int, default=1, help="processes, one trace each")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--page", type=Path, help="also put the tables between the marks of this page")
    chosen = parser.parse_args()
    traces = chosen.trace or (["azure-code-2023"] if chosen.quick else shipped_names())
    cold_starts_s = chosen.cold_start or (COLD_STARTS_S[:1] if chosen.quick else COLD_STARTS_S)
    with ProcessPoolExecutor(chosen.jobs) as pool:
        cells = list(chain(*pool.map(compare, traces, repeat(cold_starts_s), repeat(chosen.quick))))
    text = tables(cells)
    print(text)
    if chosen.json:
        chosen.json.write_text(json.dumps([cell.told() for cell in cells], indent=2) + "\n")
    if chosen.page:
        put_into(chosen.page, text)


if __name__ == "__main__":
    main()
