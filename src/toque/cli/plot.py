"""A plot of blocks: load as filled columns, ready replicas as a line over them, time to the right.

Law: plain text of a fixed size; load and replicas share one scale, slots.
"""

from collections.abc import Sequence
from itertools import pairwise

from toque.cli.layout import span
from toque.cli.terminal import Terminal
from toque.sim.timeline import Point

COLUMNS = 100
ROWS = 10
_BLOCKS = " ▁▂▃▄▅▆▇█"
_LINE = "━"


def plot(title: str, points: Sequence[Point], slots: int, terminal: Terminal) -> None:
    """Draw a run: its load (in flight and waiting) against the slots of its ready replicas."""
    groups = _grouped(points)
    load = [max(point.in_flight + point.waiting for point in group) for group in groups]
    ready = [_mean([point.ready for point in group]) * slots for group in groups]
    top = max(max(ready, default=0.0), min(max(load, default=0.0), 3 * max(ready, default=0.0)), 1e-9)
    terminal.show(f"\n{title}: load (blocks, the peak of each column) and slots of ready replicas ({_LINE})")
    for row in range(ROWS, 0, -1):
        cells = "".join(_cell(load[column], ready[column], top, row) for column in range(len(groups)))
        label = f"{top * row / ROWS:8.1f}" if row % 3 == 1 else " " * 8
        terminal.show(f"{label} │{cells}")
    end = points[-1].at + points[-1].width_s if points else 0.0
    terminal.show(f"{' ' * 8} └{'─' * len(groups)}\n{' ' * 10}0{span(end):>{max(1, len(groups) - 1)}}")


def _grouped(points: Sequence[Point]) -> list[Sequence[Point]]:
    columns = min(COLUMNS, len(points))
    edges = [round(number * len(points) / columns) for number in range(columns + 1)] if columns else [0]
    return [points[start:end] for start, end in pairwise(edges)]


def _cell(load: float, ready: float, top: float, row: int) -> str:
    """One character of a column: the line where the replicas are, else as much of a block as the load fills."""
    height = top / ROWS
    if height * (row - 1) < ready <= height * row:
        return _LINE
    return _BLOCKS[round(8 * min(1.0, max(0.0, load / height - (row - 1))))]


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)
