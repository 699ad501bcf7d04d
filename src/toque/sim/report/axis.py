"""Axes of charts: where a value lies between 0 and 1, and which values to write beside it.

Law: a value outside an axis lies on its edge, so nothing is drawn outside a chart.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, log1p, log10

MARKS = 5
MARKS_OF_TIME = 9
"""At most about so many values are written on an axis."""
UNITS_S = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
SHARES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
KNEE_S = 0.1
"""Below, a logarithmic axis of waits becomes linear, so that it can begin at 0."""


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`; `marks` are values with the words for them."""

    title: str
    low: float
    high: float
    marks: Sequence[tuple[float, str]]
    bend: Callable[[float], float] = float

    def share(self, value: float) -> float:
        """Return where a value lies: 0 at the low end, 1 at the high one."""
        low, high = self.bend(self.low), self.bend(self.high)
        inside = min(self.high, max(self.low, value))
        return (self.bend(inside) - low) / (high - low) if high > low else 0.0


def linear(title: str, high: float, marks: int = MARKS) -> Axis:
    """Return an axis from 0 with round values."""
    high = high if high > 0 else 1.0
    step = _round_step(high / marks)
    values = [round(number * step, 10) for number in range(floor(high / step + 1e-9) + 1)]
    return Axis(title, 0.0, high, [(value, f"{value:g}") for value in values])


def over_time(span_s: float) -> Axis:
    """Return an axis of time in the unit that fits."""
    unit_s, unit = next((one for one in UNITS_S if span_s >= 2 * one[0]), UNITS_S[-1])
    scaled = linear(f"time, {unit}", span_s / unit_s, MARKS_OF_TIME)
    return Axis(scaled.title, 0.0, scaled.high * unit_s, [(value * unit_s, text) for value, text in scaled.marks])


def of_waits(title: str, high_s: float, finest: int = 0) -> Axis:
    """Return an axis from 0 that is logarithmic above a tenth of a second; `finest` is the first power of ten written."""
    high_s = max(1.0, high_s)
    values = [0.0, *(10.0**power for power in range(finest, floor(log10(high_s) + 1e-9) + 1))]
    return Axis(title, 0.0, high_s, [(value, f"{value:g}") for value in values], lambda wait_s: log1p(wait_s / KNEE_S))


def of_shares(title: str, lowest: float) -> Axis:
    """Return an axis of shares up to all, on which each further nine (90 %, 99 %, 99.9 %) has the same room."""
    low = max(share for share in SHARES if share <= max(0.0, min(lowest, 0.9)))
    marks = [(share, f"{100 * share:g} %") for share in SHARES if share >= low]
    return Axis(title, low, 1.0, marks, lambda share: -log10(1.001 - share))


def _round_step(rough: float) -> float:
    size: float = 10.0 ** floor(log10(rough))
    return next(factor * size for factor in (1, 2, 5, 10) if factor * size >= rough * 0.999)
