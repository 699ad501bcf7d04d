"""The load window against the exact average, computed the slow way."""

from math import isclose

from hypothesis import given, settings
from hypothesis import strategies as st

from toque.core.window import RESOLUTION_S, LoadWindow

SPAN_S = 20.0
STEPS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.0, 0.1, 0.4, 1.0, 1.7, 5.0, 40.0]), st.sampled_from("+++-?")), max_size=80
)


class Exact:
    """Every change, kept for ever."""

    def __init__(self, born: float) -> None:
        self.born = born
        self.changes: list[tuple[float, int]] = []

    def area(self, start: float, end: float) -> float:
        level, area, at = 0, 0.0, self.born
        for when, change in [*self.changes, (end, 0)]:
            area += level * max(0.0, min(when, end) - max(at, start))
            level, at = level + change, when
        return area

    def arrivals(self, start: float, end: float) -> int:
        """Arrivals after `start` up to `end`."""
        return sum(change > 0 and start < when <= end for when, change in self.changes)

    def peak(self) -> int:
        level = highest = 0
        for _, change in self.changes:
            level += change
            highest = max(highest, level)
        return highest


@given(steps=STEPS, span_s=st.sampled_from([1.0, 3.0, SPAN_S]))
@settings(max_examples=300)
def test_averages_are_exact_within_the_resolution(steps: list[tuple[float, str]], span_s: float) -> None:
    now = 100.0
    window, exact = LoadWindow(SPAN_S, now), Exact(now)
    for wait_s, what in steps:
        now += wait_s
        if what == "+":
            window.arrive(now)
            exact.changes.append((now, 1))
        elif what == "-" and window.level:
            window.leave(now)
            exact.changes.append((now, -1))
        check(window, exact, span_s, now)


def check(window: LoadWindow, exact: Exact, span_s: float, now: float) -> None:
    start = max(exact.born, now - span_s)
    width_s = now - start
    if width_s:
        error = abs(window.demand(span_s, now) * width_s - exact.area(start, now))
        assert error <= exact.peak() * RESOLUTION_S + 1e-6
    else:
        assert window.demand(span_s, now) == window.level
    arrivals = window.arrivals_per_s(span_s, now) * span_s
    fewest = exact.arrivals(start + RESOLUTION_S, now)
    most = exact.arrivals(start - RESOLUTION_S, now)
    assert fewest - 1e-6 <= arrivals <= most + 1e-6 or now == exact.born


@given(steps=STEPS)
def test_memory_is_bounded_by_the_span(steps: list[tuple[float, str]]) -> None:
    now = 0.0
    window = LoadWindow(SPAN_S, now)
    for wait_s, _ in steps * 5:
        now += wait_s
        window.arrive(now)
        assert len(window._checkpoints) <= 2 * SPAN_S / RESOLUTION_S + 4


def test_an_even_load_is_averaged_exactly() -> None:
    window = LoadWindow(60.0, 0.0)
    window.arrive(10.0)
    window.arrive(10.0)
    assert window.demand(60.0, 40.0) == 2 * 30 / 40, "a young window divides by its age"
    assert window.demand(60.0, 100.0) == 2.0
    window.leave(100.0)
    assert isclose(window.demand(60.0, 130.0), (2 * 30 + 30) / 60)
    assert isclose(window.demand(6.0, 130.0), 1.0)
    window.leave(130.0)
    assert window.demand(60.0, 190.0) == 0.0, "calm is exactly zero"


def test_a_burst_counts_at_its_instant_and_is_not_smeared_over_the_calm_after_it() -> None:
    window = LoadWindow(60.0, 0.0)
    for _ in range(15):
        window.arrive(1.0)
    assert window.arrivals_per_s(5.0, 5.0) == 3.0
    assert window.arrivals_per_s(3.0, 5.0) == 0.0
    assert window.arrivals_per_s(1.0, 5.0) == 0.0
