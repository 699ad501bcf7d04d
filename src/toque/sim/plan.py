"""The search for a lean timetable: the cheapest way through time at a price per late request, and of two such ways the better
stretches of each. Method: docs/explanation/optimum.md.

Law: only an estimate is searched here (`sim/service.py`); whoever uses a timetable runs it in the real core. There is no chance
in it: the same demand gives the same plan.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from toque.sim.timetable import Calendar
from toque.sim.ways import Problem, Stretches, cheapest_way, retraced

FIRST_PRICE_S = 3.0
"""Replica-seconds that a late request is worth, to begin with."""
PRICE_STEP = 2.0
PRICE_S_MAX = 1e5
PRICE_S_MIN = 1e-3
CLOSE = 1.15
"""Prices this near to each other give ways that differ in little."""
HALVINGS = 4
USED = 0.85
"""A long workload's search ends once so large a share of the misses allowed is used: each price costs it seconds."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Needs by bins, found at a price, and what is estimated to come of them, by bins."""

    price_s: float
    needs: Sequence[int]
    stretches: Stretches

    @property
    def late(self) -> int:
        """Requests that would be late."""
        return sum(self.stretches.late)

    @property
    def paid_s(self) -> float:
        """Replica-seconds that would be paid."""
        return sum(self.stretches.paid_s)


class Search:
    """Finds timetables for one problem; what it has found once serves later questions too. `told` hears the virtual time."""

    def __init__(self, problem: Problem, told: Callable[[float], None] = lambda now: None) -> None:
        self._problem = problem
        self._told = told
        self._trials: dict[float, Trial] = {}

    @property
    def calendar(self) -> Calendar:
        """How its bins cut time."""
        return self._problem.calendar

    def find(self, misses: int) -> Trial:
        """Return the cheapest trial found in which at most `misses` requests are late; where none is, the one with fewest."""
        careful, careless = self._bracket(misses)
        if careless is None or careful.late > misses:
            return careful
        joined = spliced(careful, careless, misses, self._problem.service.demand.mean_work_s)
        again = self._traced(careful.price_s, joined)
        return again if again.late <= misses and again.paid_s <= careful.paid_s else careful

    def _bracket(self, misses: int) -> tuple[Trial, Trial | None]:
        """Return the cheapest trial that keeps within the misses, and the next cheaper one that does not."""
        price_s = FIRST_PRICE_S
        while self._at(price_s).late > misses and price_s < PRICE_S_MAX:
            price_s *= PRICE_STEP
        while self._at(price_s).late <= misses and price_s > PRICE_S_MIN:
            price_s /= PRICE_STEP
        if price_s >= PRICE_S_MAX or self._at(price_s).late <= misses:
            return self._best(misses)
        low, high = price_s, PRICE_STEP * price_s
        for _ in range(HALVINGS):
            if high / low < CLOSE or (self._problem.is_long and self._at(high).late >= USED * misses):
                break
            middle = (low * high) ** 0.5
            low, high = (middle, high) if self._at(middle).late > misses else (low, middle)
        return self._best(misses)

    def _best(self, misses: int) -> tuple[Trial, Trial | None]:
        holding = [trial for trial in self._trials.values() if trial.late <= misses]
        missing = [trial for trial in self._trials.values() if trial.late > misses]
        careful = min(holding or missing, key=lambda trial: trial.paid_s if holding else trial.late)
        careless = min(missing, key=lambda trial: (trial.late, trial.paid_s), default=None)
        return careful, careless if holding else None

    def _at(self, price_s: float) -> Trial:
        if price_s not in self._trials:
            needs = cheapest_way(self._problem, price_s, self._told)
            self._trials[price_s] = self._traced(price_s, needs)
        return self._trials[price_s]

    def _traced(self, price_s: float, needs: Sequence[int]) -> Trial:
        return Trial(price_s, needs, retraced(self._problem, needs))


def spliced(careful: Trial, careless: Trial, misses: int, near_s: float) -> list[int]:
    """Take the careless trial's needs in those stretches where that saves most per further late request.

    Stretches end where both have the same replicas and (within `near_s` seconds of a slot) the same work left, so that what comes
    after does not depend on which was taken.
    """
    budget = misses - careful.late
    differences = _differences(careful, careless, near_s)
    needs = list(careful.needs)
    for one in sorted(differences, key=lambda one: one.saved_s / max(one.late, 1e-9), reverse=True):
        if one.saved_s > 0 and one.late <= budget:
            budget -= max(0, one.late)
            needs[one.first : one.end] = careless.needs[one.first : one.end]
    return needs


@dataclass(frozen=True, slots=True)
class _Difference:
    """Bins in which two trials differ: what the careless one saves there, and how many more are late."""

    first: int
    end: int
    saved_s: float
    late: int


def _differences(careful: Trial, careless: Trial, near_s: float) -> list[_Difference]:
    differences: list[_Difference] = []
    first, saved_s, late = 0, 0.0, 0
    one, other = careful.stretches, careless.stretches
    for number, (needed, wanted) in enumerate(zip(careful.needs, careless.needs, strict=True)):
        saved_s += one.paid_s[number] - other.paid_s[number]
        late += other.late[number] - one.late[number]
        if needed == wanted and abs(one.left_s[number] - other.left_s[number]) <= near_s:
            if saved_s or late:
                differences.append(_Difference(first, number + 1, saved_s, late))
            first, saved_s, late = number + 1, 0.0, 0
    return differences
