"""The scale-up race: toque's policies and the rules of HPA and KEDA over the same bursts, in the simulator.

Law: same arrivals, same replicas, same cold start; contenders differ in their rule, and in how late it sees and is obeyed.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from math import inf
from statistics import median

from pipelines import Make, by_hpa, scraped

from toque.core.scaling import POLICIES
from toque.model.messages import Effect, Event, ReplicaFailed, ReplicaReady, StopReplica
from toque.model.spec import PoolSpec
from toque.sim.arrival import Arrival
from toque.sim.cold_start import constant
from toque.sim.engine import Request
from toque.sim.optimum import find_fixed
from toque.sim.slots import SlotsProfile
from toque.sim.study import UNBOUNDED, Question, Sizes, pool_for, run_policy
from toque.sim.workload.named import find_workload
from toque.sim.workload.synthetic import Source, varying

PROFILE = SlotsProfile(8, 0.03, 0.00025, decode_token_s=0.0103, decode_token_s_per_busy_slot=0.0017)
"""Published figures of an 8B model on one H100, as in bench/policies."""
CALM_PER_S, BURST_PER_S = 3.0, 30.0
CALM_S, BURST_S, AFTER_S = 1200.0, 300.0, 600.0
PHASE_S = 15.0
"""The burst comes anywhere within the beat of the slowest who looks: that is drawn."""
MAXIMUM = 40
COLD_STARTS_S = (10.0, 60.0)
LIMIT_S = 2.0
RECORDED = "azure-code-2023"


@dataclass(frozen=True, slots=True)
class Contender:
    """A name for the table and, by seed, what decides. `averages_s` are its stable and burst window; `is_own`: toque's guard holds, with this
    delay before replicas go."""

    name: str
    make: Callable[[int], Make]
    averages_s: tuple[float, float]
    is_own: bool = False
    down_delay_s: float = 60.0


CONTENDERS = (
    Contender("toque, queue_wait", lambda seed: POLICIES["queue_wait"], (60.0, 6.0), is_own=True),
    Contender("toque, concurrency", lambda seed: POLICIES["concurrency"], (60.0, 6.0), is_own=True),
    Contender(
        "toque, queue_wait, scale_down_delay_s = 300",
        lambda seed: POLICIES["queue_wait"],
        (60.0, 6.0),
        is_own=True,
        down_delay_s=300.0,
    ),
    Contender("queue_wait, carried out by an HPA", partial(by_hpa, POLICIES["queue_wait"]), (60.0, 6.0)),
    Contender("concurrency, carried out by an HPA", partial(by_hpa, POLICIES["concurrency"]), (60.0, 6.0)),
    Contender("HPA rule, sees at once", lambda seed: POLICIES["hpa"], (15.0, 1.0)),
    Contender("HPA rule, scraped", partial(scraped, POLICIES["hpa"]), (15.0, 1.0)),
    Contender("KEDA rule, sees at once", lambda seed: POLICIES["keda"], (15.0, 1.0)),
    Contender("KEDA rule, scraped", partial(scraped, POLICIES["keda"]), (15.0, 1.0)),
)


@dataclass(frozen=True, slots=True)
class Heat:
    """One contender's run. `enough_s` is burst to enough replicas ready, `late_until_s` to the last request that waited too long."""

    contender: str
    cold_start_s: float
    enough_s: float
    late_until_s: float
    late: int
    requests: int
    replica_hours: float


class Stopwatch:
    """Follows one simulation: when there were enough replicas, and who came last of those who waited too long."""

    def __init__(self, burst_at: float, enough: int) -> None:
        self._burst_at = burst_at
        self._enough = enough
        self._ready: set[int] = set()
        self.enough_s, self.late_until_s = inf, 0.0

    def step(self, now: float, event: Event, effects: list[Effect]) -> None:
        """Count the replicas that are ready."""
        if isinstance(event, ReplicaReady):
            self._ready.add(event.replica_id)
        elif isinstance(event, ReplicaFailed):
            self._ready.discard(event.replica_id)
        self._ready -= {effect.replica_id for effect in effects if isinstance(effect, StopReplica)}
        if now >= self._burst_at and len(self._ready) >= self._enough:
            self.enough_s = min(self.enough_s, now - self._burst_at)

    def ended(self, request: Request, now: float) -> None:
        """Note who waited too long."""
        begun = request.dispatched_at
        if begun is None or request.refused or begun - request.arrival.at > LIMIT_S:
            came_s = request.arrival.at - self._burst_at
            if came_s < BURST_S:
                self.late_until_s = max(self.late_until_s, came_s)


def race(*, quick: bool) -> Sequence[Mapping[str, object]]:
    """Run all heats over the burst: one row a cold start and contender, medians over the draws and the spread."""
    cold_starts = COLD_STARTS_S[:1] if quick else COLD_STARTS_S
    enough = enough_for_burst()
    work = [
        (number, cold_start_s, seed, enough)
        for cold_start_s, number, seed in product(cold_starts, range(len(CONTENDERS)), range(1 if quick else 5))
    ]
    with ProcessPoolExecutor(2) as pool:
        heats = list(pool.map(_burst, work))
    rows = []
    for (cold_start_s, contender), found in _by_contender(heats).items():
        times: Mapping[str, object] = {
            "enough_s": _spread([heat.enough_s for heat in found]),
            "late_until_s": _spread([heat.late_until_s for heat in found]),
        }
        rows.append({"cold_start_s": cold_start_s, "contender": contender, **times, **_costs(found)})
    return rows


def recorded() -> Sequence[Mapping[str, object]]:
    """Run all heats over an hour of recorded traffic, whose bursts come when they come."""
    work = list(product(COLD_STARTS_S, range(len(CONTENDERS))))
    with ProcessPoolExecutor(2) as pool:
        heats = list(pool.map(_recorded, work))
    found = _by_contender(heats).items()
    return [
        {"cold_start_s": cold_start_s, "contender": contender, **_costs(heats)}
        for (cold_start_s, contender), heats in found
    ]


def enough_for_burst() -> int:
    """The smallest fixed size that keeps the objective at the burst's rate."""
    arrivals = list(varying(lambda at: BURST_PER_S, BURST_PER_S, Source(600.0, random.Random(0))))
    return find_fixed(Question(lambda: iter(arrivals), PROFILE, constant(0.0), Sizes(1, 1, 1))).replicas


def bursting(seed: int) -> list[Arrival]:
    """A calm that policies can learn from, a step to ten times as much for five minutes, a calm again."""

    def rate_at(at: float) -> float:
        return BURST_PER_S if 0 <= at - begins < BURST_S else CALM_PER_S

    begins = _burst_at(seed)
    return list(varying(rate_at, BURST_PER_S, Source(begins + BURST_S + AFTER_S, random.Random(seed))))


def _burst_at(seed: int) -> float:
    return CALM_S + PHASE_S * random.Random(f"burst {seed}").random()


def _burst(work: tuple[int, float, int, int]) -> Heat:
    number, cold_start_s, seed, enough = work
    return _heat(CONTENDERS[number], bursting(seed), cold_start_s, seed, enough)


def _recorded(work: tuple[float, int]) -> Heat:
    cold_start_s, number = work
    return _heat(CONTENDERS[number], list(find_workload(RECORDED).start()), cold_start_s, 0, UNBOUNDED)


def _heat(contender: Contender, arrivals: Sequence[Arrival], cold_start_s: float, seed: int, enough: int) -> Heat:
    start: Callable[[], Iterator[Arrival]] = lambda: iter(arrivals)  # noqa: E731 - a closure with a type
    question = Question(start, PROFILE, constant(cold_start_s), Sizes(2, 1, MAXIMUM), seed=seed)
    policies = {**POLICIES, contender.name: contender.make(seed)}
    question = replace(question, policies=policies, pool=_pool(question, contender))
    watch = Stopwatch(_burst_at(seed), enough)
    row = run_policy(question, contender.name, [watch])
    measures = row.measures
    return Heat(
        contender.name,
        cold_start_s,
        watch.enough_s,
        watch.late_until_s,
        measures.misses,
        measures.requests,
        row.replica_hours,
    )


def _pool(question: Question, contender: Contender) -> PoolSpec:
    """The neutral pool; whoever is not toque's own has the guard wide open, for it brings its own."""
    pool = pool_for(question, "concurrency")
    stable_s, burst_s = contender.averages_s
    pool = replace(pool, scaling=replace(pool.scaling, stable_window_s=stable_s, burst_window_s=burst_s))
    if contender.is_own:
        return replace(pool, replicas=replace(pool.replicas, scale_down_delay_s=contender.down_delay_s))
    wide = replace(
        pool.replicas, scale_down_delay_s=0.0, idle_to_zero_s=0.0, step_up_max=UNBOUNDED, step_down_max=UNBOUNDED
    )
    return replace(pool, replicas=wide)


def _by_contender(heats: Sequence[Heat]) -> Mapping[tuple[float, str], Sequence[Heat]]:
    keys = dict.fromkeys((heat.cold_start_s, heat.contender) for heat in heats)
    return {key: [heat for heat in heats if (heat.cold_start_s, heat.contender) == key] for key in keys}


def _costs(heats: Sequence[Heat]) -> Mapping[str, object]:
    return {
        "late_percent": _spread([100 * heat.late / heat.requests for heat in heats]),
        "replica_hours": _spread([heat.replica_hours for heat in heats]),
    }


def _spread(values: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """Median, least and most; None for never."""
    told = [None if value == inf else round(value, 3) for value in (median(values), min(values), max(values))]
    return told[0], told[1], told[2]
