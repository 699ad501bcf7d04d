"""Axes of charts: where a value lies between 0 and 1, and which values to write beside it.

Law: a value outside an axis lies on its edge, so nothing is drawn outside a chart.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, log1p, log10

MARKS = 5
"""About so many values are written on an axis."""
UNITS_S = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
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
        return min(1.0, max(0.0, (self.bend(value) - low) / (high - low))) if high > low else 0.0


def linear(title: str, high: float, low: float = 0.0, tell: Callable[[float], str] = "{:g}".format) -> Axis:
    """Return an axis with round values."""
    high = high if high > low else low + 1.0
    step = _round_step(high - low)
    first = floor(low / step + 0.999)
    values = [round(number * step, 10) for number in range(first, floor(high / step + 1e-9) + 1)]
    return Axis(title, low, high, [(value, tell(value)) for value in values])


def over_time(span_s: float) -> Axis:
    """Return an axis of time in the unit that fits."""
    unit_s, unit = next((one for one in UNITS_S if span_s >= 2 * one[0]), UNITS_S[-1])
    scaled = linear(f"time, {unit}", span_s / unit_s)
    return Axis(scaled.title, 0.0, scaled.high * unit_s, [(value * unit_s, text) for value, text in scaled.marks])


def of_waits(title: str, high_s: float) -> Axis:
    """Return an axis from 0 that is logarithmic above a tenth of a second."""
    high_s = max(1.0, high_s)
    values = [0.0, *(10.0**power for power in range(-1, floor(log10(high_s) + 1e-9) + 1))]
    return Axis(title, 0.0, high_s, [(value, f"{value:g}") for value in values], lambda wait_s: log1p(wait_s / KNEE_S))


def _round_step(span: float) -> float:
    rough = span / MARKS
    size: float = 10.0 ** floor(log10(rough))
    return next(factor * size for factor in (1, 2, 5, 10) if factor * size >= rough * 0.999)
