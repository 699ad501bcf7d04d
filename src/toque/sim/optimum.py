"""The optimum: the best fixed size in hindsight, a clairvoyant plan that can be carried out, and a bound nobody can beat.

Law: the plan is run in the real core like every policy, its cold starts and drains paid; where anything that was run meets the
objective, the plan does, and never costs more than the best fixed size.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, inf

from toque.model.spec import PoolSpec
from toque.sim.arrival import Arrival
from toque.sim.bound import lower_bound_s
from toque.sim.demand import Demand
from toque.sim.plan import Search
from toque.sim.service import Service, Standing
from toque.sim.study import PLAN, Question, Row, run_fixed, run_own
from toque.sim.timetable import Calendar, Clairvoyant
from toque.sim.ways import Problem

ROUNDS = 6
"""Timetables tried in the real core for a workload of up to `LONG` requests; three for a longer one."""
ROUNDS_LONG = 3
LONG = 200_000
ENOUGH = 0.98
"""No more timetables are tried once so large a share of the misses allowed is used."""
STRAIN = 0.9
"""Where even a plan in which nobody is late fails in the real core, everybody is planned to wait for this share of what they may."""
REPLICAS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Optimum:
    """`plan` and `fixed` as they ran; `bound_hours` is what no policy can go below."""

    plan: Row
    fixed: Row
    bound_hours: float


def find_optimum(question: Question, fixed: Row) -> Optimum:
    """Return the plan and the bound for a question whose best fixed size is known."""
    return Optimum(find_plan(question, fixed), fixed, bound_hours(question))


def bound_hours(question: Question) -> float:
    """Return the hours of replicas that any policy pays at least."""
    profile = question.profile
    longest = max((arrival.prompt_tokens for arrival in _told(question)), default=0)
    seconds = lower_bound_s(
        _told(question),
        profile.least_work_s,
        lambda arrival: profile.longest_s(arrival, longest),
        question.sizes.minimum,
        question.objective,
    )
    return seconds / 3600


def find_fixed(question: Question, maximum: int = REPLICAS_MAX) -> Row:
    """Return the smallest fixed size that meets the objective, or `maximum` where none does: an estimate, then real runs."""
    demand = Demand.of(_told(question), question.profile, question.objective)
    replicas = _smallest(lambda size: _fixed_holds(question, demand, size), maximum)
    row = run_fixed(question, replicas)
    while row.measures.holds and replicas > 1:
        fewer = run_fixed(question, replicas - 1)
        if not fewer.measures.holds:
            return row
        row, replicas = fewer, replicas - 1
    while not row.measures.holds and replicas < maximum and replicas < 2 * len(demand.at):
        replicas = min(maximum, replicas + max(1, replicas // 20))
        row = run_fixed(question, replicas)
    return row


def find_plan(question: Question, fixed: Row) -> Row:
    """Return the cheapest timetable found that meets the objective in the real core; the fixed size where none is cheaper.

    The search knows only an estimate of who will be late, so each round asks for as many more or fewer late requests as the
    real core had to spare or was short of.
    """
    demand = Demand.of(_told(question), question.profile, question.objective)
    misses = question.objective.misses_allowed(len(demand.at))
    rounds = ROUNDS if len(demand.at) <= LONG else ROUNDS_LONG
    best, aim = fixed, _Aim(misses)
    search, needs = _search(question, demand), None
    for _ in range(rounds):
        trial = search.find(aim.late)
        if trial.needs == needs:
            break
        needs = trial.needs
        row = run_own(question, PLAN, partial(_clairvoyant, needs, search.calendar))
        if row.measures.holds and (not best.measures.holds or row.replica_hours < best.replica_hours):
            best = row
        if not aim.learn(trial.late, row.measures.misses):
            break
        if aim.late < 0:
            demand = demand.strained(STRAIN)
            search, aim = _search(question, demand), _Aim(misses, 0)
    return replace(best, policy=PLAN)


class _Aim:
    """How many late requests to ask a search for, so that in the real core as many as may miss the objective."""

    def __init__(self, misses: int, late: int | None = None) -> None:
        self._misses = misses
        self._held, self._failed = -1, inf
        self.late = misses if late is None else late

    def learn(self, estimated: int, missed: int) -> bool:
        """Learn what became of an estimate; return whether it is worth another round."""
        spare = self._misses - missed
        if spare < 0:
            self._failed = min(self._failed, estimated)
            is_hopeless = estimated > self.late
            self.late = min(estimated + spare, int(self._failed) - 1)
            return not is_hopeless and (self.late > self._held or self.late < 0)
        self._held = max(self._held, estimated)
        self.late = int(min(estimated + spare, self._failed - 1))
        return missed < ENOUGH * self._misses and self.late > self._held


def _search(question: Question, demand: Demand) -> Search:
    sizes = question.sizes
    calendar = Calendar.of(question.cold_start_s, max(sizes.initial, sizes.minimum), demand.span_s)
    service = Service(demand, question.profile.slots)
    return Search(Problem.of(service, calendar, sizes.minimum, sizes.maximum), question.progress)


def _told(question: Question) -> Iterator[Arrival]:
    """Read the workload, and tell how far."""
    for arrival in question.arrivals():
        question.progress(arrival.at)
        yield arrival


def _clairvoyant(needs: Sequence[int], calendar: Calendar, pool: PoolSpec) -> Clairvoyant:
    return Clairvoyant(needs, calendar)


def _fixed_holds(question: Question, demand: Demand, replicas: int) -> bool:
    late = Service(demand, question.profile.slots).serve(Standing(), replicas, 0.0, inf)
    return late <= question.objective.misses_allowed(len(demand.at))


def _smallest(holds: Callable[[int], bool], maximum: int) -> int:
    """Return the smallest number up to `maximum` for which something holds that holds for all larger ones too."""
    high = 1
    while high < maximum and not holds(high):
        high = min(maximum, 2 * high)
    low = high // 2
    while high - low > 1:
        middle = ceil((low + high) / 2)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def cheapest(rows: Sequence[Row]) -> Row | None:
    """Return the cheapest row that meets the objective."""
    return min((row for row in rows if row.measures.holds), key=lambda row: row.replica_hours, default=None)
