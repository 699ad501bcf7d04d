"""Timetables: how many replicas are needed when, and the policy that follows one because it knows the future.

Law: needs are whole numbers by bins. What is ordered and paid for covers each need one cold start ahead, and lasts through
any gap that is shorter than a cold start; what is ready follows from what was ordered.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from toque.core.policy import Policy
from toque.model.decision import Desired, Observation

BIN_S_MAX = 10.0
BIN_S_FINE = 1.0
"""Bins of a long workload are not shorter than this."""
BINS_PER_COLD_START = 12
BINS_OF_SHORT, BINS_MAX = 1000, 150_000
"""Bins of a short workload may be shorter while it has fewer than the first, those of a long one are longer once it has more
than the second: each costs its search some 0.1 ms."""
NOISE = 1e-6


@dataclass(frozen=True, slots=True)
class Calendar:
    """How time is cut: bins of `bin_s`, a cold start, and the replicas that are ready at 0."""

    bin_s: float
    cold_start_s: float
    initial: int

    @staticmethod
    def of(cold_start_s: float, initial: int, span_s: float) -> "Calendar":
        """Cut a cold start into twelve, where that is neither too fine for the span nor too coarse."""
        finest = max(NOISE, min(BIN_S_FINE, span_s / BINS_OF_SHORT), span_s / BINS_MAX)
        return Calendar(min(BIN_S_MAX, max(finest, cold_start_s / BINS_PER_COLD_START)), cold_start_s, initial)

    @property
    def ahead(self) -> int:
        """Bins between an order and the first bin it can be counted on."""
        return ceil(self.cold_start_s / self.bin_s - NOISE)

    def ordered(self, needs: Sequence[int]) -> list[int]:
        """Return the replicas paid for by bins: the most needed until those ordered now are ready.

        Nothing can be ordered in the first bin: what is there then is there.
        """
        ordered = _sliding(list(reversed(needs)), self.ahead, max)[::-1]
        ordered[0] = self.initial
        return ordered

    def ready(self, ordered: Sequence[int]) -> list[int]:
        """Return the replicas ready by bins: the fewest ordered since a cold start ago."""
        return _sliding([self.initial] * self.ahead + list(ordered), self.ahead, min)[self.ahead :]

    def bin(self, at: float) -> int:
        """The bin of an instant."""
        return int(at / self.bin_s + NOISE)


class Clairvoyant(Policy):
    """Follows needs by bins; after the last bin nothing is needed. It is asked in a calm too."""

    foresees = True

    def __init__(self, needs: Sequence[int], calendar: Calendar) -> None:
        self.interval_s = calendar.bin_s
        self._ordered = calendar.ordered(needs)
        self._calendar = calendar

    def desire(self, seen: Observation, now: float) -> Desired:
        """Want what is ordered by now."""
        number = self._calendar.bin(now)
        wanted = self._ordered[number] if number < len(self._ordered) else 0
        return Desired(wanted, "the plan knows what comes")


def _sliding(numbers: list[int], back: int, best: Callable[[int, int], int]) -> list[int]:
    """Return by place the best (max or min) of itself and the `back` numbers before.

    The best of spans of 1, 2, 4, 8 ... numbers, each from two spans of half the length; the last two may overlap.
    """
    width, spans = 1, [numbers[0]] * back + numbers
    while 2 * width <= back + 1:
        spans = list(map(best, spans, spans[width:]))
        width *= 2
    return list(map(best, spans, spans[back + 1 - width :]))
