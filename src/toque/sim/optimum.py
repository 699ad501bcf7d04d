"""The optimum: the best fixed size in hindsight, a clairvoyant plan that can be carried out, and a bound nobody can beat.

Law: the plan is run in the real core like every policy, its cold starts and drains paid; where anything that was run meets the
objective, the plan does, and never costs more than the best fixed size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil

from toque.model.spec import PoolSpec
from toque.sim.bound import lower_bound_s
from toque.sim.demand import Demand
from toque.sim.plan import Search, find_timetable
from toque.sim.study import PLAN, Question, Row, run_fixed, run_own
from toque.sim.timetable import Calendar, Clairvoyant

ROUNDS = 8
"""Timetables tried in the real core for a workload of up to `LONG` requests; three for a longer one."""
LONG = 200_000
STEP = 0.08
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
    longest = max((arrival.prompt_tokens for arrival in question.arrivals()), default=0)
    seconds = lower_bound_s(
        question.arrivals(),
        profile.least_work_s,
        lambda arrival: profile.longest_s(arrival, longest),
        question.sizes.minimum,
        question.objective,
    )
    return seconds / 3600


def find_fixed(question: Question, maximum: int = REPLICAS_MAX) -> Row:
    """Return the smallest fixed size that meets the objective, or `maximum` where none does: an estimate, then real runs."""
    demand = Demand.of(question.arrivals(), question.profile, question.objective)
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

    The search knows only estimated service times, so each round scales them: down while the real core meets the objective
    (its replicas were faster, being less than full), half-way up again when it does not.
    """
    demand = Demand.of(question.arrivals(), question.profile, question.objective)
    sizes, misses = question.sizes, question.objective.misses_allowed(len(demand.at))
    calendar = Calendar.of(question.cold_start_s, max(sizes.initial, sizes.minimum), demand.span_s)
    best, needs, failed, speed = fixed, None, 0.0, _speed(fixed, demand)
    for _ in range(ROUNDS if len(demand.at) <= LONG else ROUNDS // 2):
        search = Search(demand, calendar, question.profile.slots, sizes.minimum, sizes.maximum, misses, speed)
        needs = find_timetable(search, needs)
        row = run_own(question, PLAN, partial(_clairvoyant, needs, calendar))
        if not row.measures.holds:
            failed = speed
            speed *= 1 + STEP
        elif not best.measures.holds or row.replica_hours < best.replica_hours:
            best = row
        if row.measures.holds:
            speed = (speed + failed) / 2 if failed else speed * (1 - STEP)
    return replace(best, policy=PLAN)


def _clairvoyant(needs: Sequence[int], calendar: Calendar, pool: PoolSpec) -> Clairvoyant:
    return Clairvoyant(needs, calendar)


def _speed(row: Row, demand: Demand) -> float:
    """Return how long service took in a run, as a share of how long it takes on a full replica."""
    full_s = sum(demand.service_s)
    return min(1.0, row.measures.busy_s / full_s) if full_s else 1.0


def _fixed_holds(question: Question, demand: Demand, replicas: int) -> bool:
    late = demand.late([replicas], demand.span_s + 1.0, question.profile.slots, 1.0)
    return len(late) <= question.objective.misses_allowed(len(demand.at))


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
