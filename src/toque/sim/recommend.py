"""The search behind `toque plan`: which policy, target, minimum warm and maximum are cheapest for this traffic, or whether none is.

Law: settings are chosen on the first part of a trace and must hold on the second, which the choice never saw. A fixed size is a
candidate like every other, and wins ties.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from toque.core.scaling import POLICIES
from toque.sim.arrival import Arrival
from toque.sim.optimum import find_fixed
from toque.sim.study import FIXED, Question, Row, run_fixed, run_policy
from toque.sim.workload.shape import window

TARGETS = (0.0, 0.25, 0.5, 0.9)
"""0 is the policy's default; the others are shares of what a replica can do (its slots, its requests a second)."""
WAITS = (0.0, 0.25, 0.5, 1.0)
"""For policies that aim at a wait: shares of the objective's limit."""
MAXIMUM_RATIO = 4
FIXED_MORE = 3
"""Fixed sizes that are tried beyond the one that was enough for the first part."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What could be written into a settings file. `target` 0: the policy's default."""

    policy: str
    target: float
    initial: int
    minimum: int
    maximum: int

    def run(self, question: Question) -> Row:
        """Simulate it."""
        if self.policy == FIXED:
            return run_fixed(question, self.initial)
        return run_policy(
            replace(question.sized(self.initial, self.minimum, self.maximum), target=self.target), self.policy
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A setting that met the objective on the first part, and what it did on the held-out one."""

    setting: Setting
    chosen_on: Row
    held_out: Row


@dataclass(frozen=True, slots=True)
class Recommendation:
    """`best` None: nothing tried holds on the held-out part. `fixed` is the smallest fixed size that does."""

    best: Candidate | None
    fixed: Candidate | None
    candidates: Sequence[Candidate]
    tried: int


def split(arrivals: Callable[[], Iterator[Arrival]], at_s: float) -> tuple[Callable[[], Iterator[Arrival]], ...]:
    """Cut a workload in two; each part begins at 0."""
    return (lambda: window(arrivals(), 0.0, at_s), lambda: window(arrivals(), at_s, float("inf")))


def recommend(question: Question, at_s: float, told: Callable[[str], None]) -> Recommendation:
    """Choose on what arrives before `at_s`, and hold it against what comes after. `told` hears what is being tried."""
    before, after = split(question.arrivals, at_s)
    chosen_on, held_out = replace(question, arrivals=before), replace(question, arrivals=after)
    fixed = find_fixed(chosen_on)
    found = _fixed_sizes(chosen_on, fixed)
    tried = len(found)
    for policy in (name for name in POLICIES if name != FIXED):
        told(policy)
        rows = _tuned(chosen_on, policy, fixed.replicas)
        tried += len(rows)
        found += [pair for pair in rows if pair[1].measures.holds]
    found.sort(key=lambda pair: (pair[1].replica_hours, pair[0].policy != FIXED))
    told("the held-out part")
    return _held(held_out, found, tried)


def _held(question: Question, found: Sequence[tuple[Setting, Row]], tried: int) -> Recommendation:
    """Run the cheapest on the held-out part until both a policy and a fixed size hold there."""
    candidates: list[Candidate] = []
    best: dict[bool, Candidate] = {}
    for setting, row in found:
        is_fixed = setting.policy == FIXED
        if is_fixed not in best:
            candidates.append(Candidate(setting, row, setting.run(question)))
            if candidates[-1].held_out.measures.holds:
                best[is_fixed] = candidates[-1]
    winner = min(
        best.values(), key=lambda one: (one.chosen_on.replica_hours, one.setting.policy != FIXED), default=None
    )
    scaled, fixed = best.get(False), best.get(True)
    if scaled and fixed and scaled.held_out.replica_hours >= fixed.held_out.replica_hours:
        winner = fixed
    return Recommendation(winner, fixed, candidates, tried)


def _fixed_sizes(question: Question, fixed: Row) -> list[tuple[Setting, Row]]:
    sizes = range(fixed.replicas, fixed.replicas + 1 + FIXED_MORE)
    pairs = [(Setting(FIXED, 0.0, size, size, size), run_fixed(question, size)) for size in sizes]
    return [pair for pair in pairs if pair[1].measures.holds]


def _tuned(question: Question, policy: str, fixed: int) -> list[tuple[Setting, Row]]:
    """Try targets with wide bounds, then other bounds with the best of them."""
    run = partial(_tried, question)
    wide = Setting(policy, 0.0, fixed, 1, MAXIMUM_RATIO * fixed)
    rows = [run(replace(wide, target=target)) for target in _targets(question, policy)]
    best = min(rows, key=_merit)[0]
    minimums = sorted({max(1, fixed // 2), max(1, fixed - 1), fixed} - {1})
    rows += [run(replace(best, minimum=minimum)) for minimum in minimums]
    best = min(rows, key=_merit)[0]
    return [*rows, run(replace(best, maximum=max(best.minimum, 2 * fixed)))]


def _tried(question: Question, setting: Setting) -> tuple[Setting, Row]:
    return setting, setting.run(question)


def _merit(pair: tuple[Setting, Row]) -> tuple[bool, float]:
    """Those that hold first, the cheapest of them; else those that miss least."""
    measures = pair[1].measures
    return not measures.holds, measures.replica_hours if measures.holds else -measures.attainment


def _targets(question: Question, policy: str) -> list[float]:
    if policy == "queue_wait":
        return [share * question.objective.limit_s for share in WAITS]
    most = float(question.profile.slots)
    if policy == "rate":
        most /= _mean_service_s(question)
    return [share * most for share in TARGETS]


def _mean_service_s(question: Question) -> float:
    services = [question.profile.service_s(arrival) for arrival in question.arrivals()]
    return sum(services) / len(services)
