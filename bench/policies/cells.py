"""One cell of the comparison: a trace and a cold start, under every policy, beside fixed, plan and bound.

Law: what is tuned is tuned on the first half of a trace (its last day), and everything is scored on the second. A policy that misses
the objective is charged the fixed size (or its own hours, where those are more), so missing never pays.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path

from toque.core.scaling import POLICIES
from toque.sim.arrival import Arrival
from toque.sim.cold_start import constant
from toque.sim.optimum import find_fixed, find_optimum
from toque.sim.slots import SlotsProfile
from toque.sim.study import FIXED, Question, Row, Sizes, run_fixed, run_policy
from toque.sim.workload.named import find_workload

PROFILE = SlotsProfile(8, 0.03, 0.00025, decode_token_s=0.0103, decode_token_s_per_busy_slot=0.0017)
"""Published figures of an 8B model on one H100: 0.25 ms a prompt token, then 12 ms a token alone and 24 ms when full."""
PROFILES = {
    "servegen-day": SlotsProfile(1, 0.01, 0.000091, decode_token_s=0.0298, decode_token_s_per_busy_slot=0.00021)
}
"""So thin a trace never needs a second replica of eight slots, so it meets a 70B model on eight H100, one request at a time."""
TUNING_S_MAX = 86_400.0
"""Of a long trace's first half only the last day is tuned on."""
MAXIMUM_RATIO = 4
"""Policies may use so many times the best fixed size."""
FILL = {"concurrency": 0.7, "hpa": 0.7, "kpa": 0.7, "keda": 1.0}
"""What these aim at by default, as a share of the slots of a replica."""
TARGETS = {"ray_serve": 2.0, "rate": 1.0, "queue_wait": 2.0}
"""What the others aim at by default; the grid is laid around it."""
GRID = (0.25, 0.5, 1.0, 1.5, 2.0)


@dataclass(frozen=True, slots=True)
class Halves:
    """A trace cut in two at half of its time; each part begins at 0."""

    name: str
    profile: SlotsProfile
    tuning: Sequence[Arrival]
    scored: Sequence[Arrival]


@dataclass(frozen=True, slots=True)
class Score:
    """How one policy did. `target` 0 is its default; `charged_hours` is what it costs, a missed objective included."""

    trace: str
    cold_start_s: float
    policy: str
    tuned: bool
    target: float
    replica_hours: float
    slo_attainment: float
    holds: bool
    charged_hours: float
    fixed_ratio: float
    plan_ratio: float
    bound_ratio: float
    queue_wait_p99_s: float
    starts: int


@dataclass(frozen=True, slots=True)
class Cell:
    """All policies on one trace with one cold start."""

    trace: str
    cold_start_s: float
    requests: int
    fixed_replicas: int
    fixed_hours: float
    plan_hours: float
    bound_hours: float
    scores: Sequence[Score]

    def told(self) -> dict[str, object]:
        """Return it for JSON."""
        return asdict(self)


def cut(name: str, duration_s: float | None = None) -> Halves:
    """Read a trace and cut it in two; `duration_s` takes only its beginning."""
    arrivals = [arrival for arrival in find_workload(name).start() if duration_s is None or arrival.at < duration_s]
    middle = arrivals[-1].at / 2
    title = Path(name).name.partition(".")[0]
    early = _between(arrivals, max(0.0, middle - TUNING_S_MAX), middle)
    return Halves(title, PROFILES.get(title, PROFILE), early, _between(arrivals, middle, inf))


def measure(halves: Halves, cold_start_s: float, policies: Sequence[str], grid: Sequence[float]) -> Cell:
    """Tune every policy on one half and score it, tuned and not, on the other."""
    tuning, fixed_before = _sized(_question(halves.profile, halves.tuning, cold_start_s))
    question, fixed = _sized(_question(halves.profile, halves.scored, cold_start_s))
    optimum = find_optimum(question, fixed)
    hours = (fixed.replica_hours, optimum.plan.replica_hours, optimum.bound_hours)
    scores = [
        _score(halves.name, cold_start_s, run_fixed(question, fixed_before.replicas), hours, fixed_before.replicas)
    ]
    for policy in policies:
        scores.append(_score(halves.name, cold_start_s, run_policy(question, policy), hours))
        if policy in FILL or policy in TARGETS:
            target = tuned_target(tuning, policy, grid, fixed_before.replica_hours)
            row = run_policy(replace(question, target=target), policy)
            scores.append(_score(halves.name, cold_start_s, row, hours, target))
    return Cell(halves.name, cold_start_s, len(halves.scored), fixed.replicas, *hours, scores)


def tuned_target(question: Question, policy: str, grid: Sequence[float], fixed_hours: float) -> float:
    """Return the target that was cheapest on this half; where none holds, the one that missed least."""

    def cost(target: float) -> tuple[float, float]:
        row = run_policy(replace(question, target=target), policy)
        return charged(row, fixed_hours), -row.measures.attainment

    default = FILL[policy] * question.profile.slots if policy in FILL else TARGETS[policy]
    return min((factor * default for factor in grid), key=cost)


def charged(row: Row, fixed_hours: float) -> float:
    """Return what a row costs."""
    return row.replica_hours if row.measures.holds else max(row.replica_hours, fixed_hours)


def scaled_policies() -> list[str]:
    """Return every policy that scales."""
    return [name for name in POLICIES if name != FIXED]


def _between(arrivals: Sequence[Arrival], begin: float, end: float) -> list[Arrival]:
    return [replace(arrival, at=arrival.at - begin) for arrival in arrivals if begin <= arrival.at < end]


def _question(profile: SlotsProfile, arrivals: Sequence[Arrival], cold_start_s: float) -> Question:
    start: Callable[[], Iterator[Arrival]] = lambda: iter(arrivals)  # noqa: E731 - a closure with a type
    return Question(start, profile, constant(cold_start_s), Sizes(1, 1, 1))


def _sized(question: Question) -> tuple[Question, Row]:
    fixed = find_fixed(question)
    return question.sized(fixed.replicas, 1, MAXIMUM_RATIO * fixed.replicas), fixed


def _score(trace: str, cold_start_s: float, row: Row, hours: tuple[float, float, float], target: float = 0.0) -> Score:
    cost = charged(row, hours[0])
    return Score(
        trace,
        cold_start_s,
        row.policy,
        bool(target),
        target,
        row.replica_hours,
        row.measures.attainment,
        row.measures.holds,
        cost,
        cost / hours[0],
        cost / hours[1],
        cost / hours[2],
        row.measures.queue_wait.quantile(0.99),
        row.measures.starts,
    )
