"""A study: the same workload under several policies, beside the fixed size chosen in hindsight, the clairvoyant plan and the
lower bound.

Law: every row comes from the production core in the same simulation; only the policy and what its original needs of the guard
differ. A row says how far it is from the plan (achievable) and from the bound (unbeatable).
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from toque.core.policy import Policy
from toque.core.scaling import POLICIES, PolicyTable
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec, QueueSpec, ReplicaBounds
from toque.model.trust_spec import EjectionSpec
from toque.sim.arrival import Arrival
from toque.sim.backlog import Backlog, Job
from toque.sim.cold_start import Draw
from toque.sim.engine import Scenario, Simulation, Watcher
from toque.sim.faults import Faults
from toque.sim.measure import Measures
from toque.sim.objective import Objective
from toque.sim.profile import Profile

FIXED = "fixed"
PLAN = "plan"
PATIENCE_S = 600.0
NEVER_EJECTED = EjectionSpec(slow_factor=0.0)
"""In the neutral pool all replicas are alike; one that got the long answers by chance is not slow."""
UNBOUNDED = 10**6
COLD_START_DRAWS = 1000
STARTUP_S_MAX = 3600.0
ORIGINALS: Mapping[str, tuple[float, float]] = {
    "hpa": (60.0, 15.0),
    "keda": (60.0, 6.0),
    "kpa": (60.0, 6.0),
    "ray_serve": (30.0, 6.0),
}
"""Policies that stand for another product, with its averaging (stable and burst window, seconds).

They run with the guard wide open, as their original does.
"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Replicas: ready at the beginning, kept whatever the load, and at most."""

    initial: int
    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `arrivals` starts the workload anew at each call.

    `pool` holds settings to use instead of the neutral ones (no bound on the line, drains as long as it takes); `progress`
    is told the virtual time. `job` lies behind the workload.
    """

    arrivals: Callable[[], Iterator[Arrival]]
    profile: Profile
    cold_start: Draw
    sizes: Sizes
    objective: Objective = field(default_factory=Objective)
    target: float = 0.0
    seed: int = 0
    pool: PoolSpec | None = None
    policies: PolicyTable = field(default_factory=lambda: POLICIES)
    faults: Faults = field(default_factory=Faults)
    progress: Callable[[float], None] = lambda now: None
    job: Job = field(default_factory=Job)

    @property
    def cold_start_s(self) -> float:
        """The mean cold start."""
        chance = random.Random(self.seed)  # noqa: S311 - reproducible on purpose
        return sum(self.cold_start(chance) for _ in range(COLD_START_DRAWS)) / COLD_START_DRAWS

    def sized(self, initial: int, minimum: int, maximum: int) -> "Question":
        """Ask the same for other sizes."""
        return replace(self, sizes=Sizes(initial, minimum, maximum))


@dataclass(frozen=True, slots=True)
class Row:
    """What one policy achieved. `replicas` is the number where that is fixed, else 0; `backlog` is what came of the job."""

    policy: str
    measures: Measures
    replicas: int = 0
    backlog: Backlog = field(default_factory=lambda: Backlog(Job()))

    @property
    def replica_hours(self) -> float:
        """Paid hours of replicas."""
        return self.measures.replica_hours


def run_policy(question: Question, policy: str, watchers: Sequence[Watcher] = ()) -> Row:
    """Run one policy of the table."""
    return _run(question, pool_for(question, policy), question.policies, watchers)


def run_fixed(question: Question, replicas: int, watchers: Sequence[Watcher] = ()) -> Row:
    """Run a fixed number of replicas, all of them ready at the beginning."""
    row = run_policy(question.sized(replicas, replicas, replicas), FIXED, watchers)
    return replace(row, replicas=replicas)


def run_own(
    question: Question, name: str, policy: Callable[[PoolSpec], Policy], watchers: Sequence[Watcher] = ()
) -> Row:
    """Run a policy that is in no table; its guard is wide open."""
    pool = _opened(pool_for(question, FIXED), (1.0, 1.0))
    pool = replace(pool, scaling=replace(pool.scaling, policy=name))
    return _run(question, pool, {**question.policies, name: policy}, watchers)


def pool_for(question: Question, policy: str) -> PoolSpec:
    """Return the pool a policy runs in: as configured, or an unbounded line before `profile.slots` slots."""
    sizes = question.sizes
    pool = question.pool or PoolSpec(
        "model",
        queue=QueueSpec(length_max=UNBOUNDED, wait_s_max=PATIENCE_S, cold_wait_s_max=PATIENCE_S, standing_s=0.0),
        replicas=ReplicaBounds(drain_s_max=PATIENCE_S, startup_timeout_s=STARTUP_S_MAX),
        ejection=NEVER_EJECTED,
    )
    bounds = replace(pool.replicas, minimum_warm=sizes.minimum, maximum=sizes.maximum)
    target = question.target if policy != FIXED else float(sizes.initial)
    scaling = replace(pool.scaling, policy=policy, target=target or pool.scaling.target)
    pool = replace(pool, slots=question.profile.slots, replicas=bounds, scaling=scaling)
    return _opened(pool, ORIGINALS[policy]) if policy in ORIGINALS else pool


def _opened(pool: PoolSpec, windows: tuple[float, float]) -> PoolSpec:
    wide = replace(
        pool.replicas, scale_down_delay_s=0.0, idle_to_zero_s=0.0, step_up_max=UNBOUNDED, step_down_max=UNBOUNDED
    )
    return replace(
        pool, scaling=replace(pool.scaling, stable_window_s=windows[0], burst_window_s=windows[1]), replicas=wide
    )


def _run(question: Question, pool: PoolSpec, policies: PolicyTable, watchers: Sequence[Watcher]) -> Row:
    measures, backlog = Measures(question.objective, question.profile.slots), Backlog(question.job)
    scenario = Scenario(
        FleetSpec((pool,), Resources()),
        question.arrivals(),
        question.profile.replica,
        question.cold_start,
        question.seed,
        PATIENCE_S,
        policies,
        question.faults,
        initial=max(question.sizes.initial, question.sizes.minimum),
        backlog=backlog,
    )
    Simulation(scenario, [measures, *watchers]).run(question.progress)
    measures.close()
    return Row(pool.scaling.policy, measures, backlog=backlog)
