"""A small world for stories of the simulator: one pool, replicas of a profile, and watchers that remember everything."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from toque.core.fleet import Fleet
from toque.core.invariants import check_fleet
from toque.model.messages import Effect, Event
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec, QueueSpec, ReplicaBounds, ScalingSpec
from toque.sim.arrival import Arrival
from toque.sim.cold_start import constant
from toque.sim.engine import Request, Scenario
from toque.sim.profile import Profile

FOREVER_S = 1e9


@dataclass
class Memory:
    """Remembers every request in the order of its end, and every step; checks the invariants now and then."""

    fleet: Fleet | None = None
    check_every: int = 1
    requests: list[Request] = field(default_factory=list)
    steps: list[tuple[float, Event, list[Effect]]] = field(default_factory=list)

    def step(self, now: float, event: Event, effects: list[Effect]) -> None:
        self.steps.append((now, event, effects))
        if self.fleet is not None and len(self.steps) % self.check_every == 0:
            check_fleet(self.fleet, now)

    def ended(self, request: Request, now: float) -> None:
        self.requests.append(request)


def fixed(replicas: int, slots: int, grace_s: float = FOREVER_S) -> PoolSpec:
    """A pool of a fixed size whose line has no end."""
    return PoolSpec(
        "model",
        slots=slots,
        queue=QueueSpec(length_max=10**6, wait_s_max=FOREVER_S, cold_wait_s_max=FOREVER_S),
        replicas=ReplicaBounds(minimum_warm=replicas, maximum=replicas, drain_s_max=grace_s),
        scaling=ScalingSpec("fixed"),
    )


def scenario(pool: PoolSpec, arrivals: Iterable[Arrival], profile: Profile, cold_start_s: float = 0.0) -> Scenario:
    """One pool, all replicas alike, patience without end."""
    return Scenario(
        FleetSpec((pool,), Resources()), arrivals, profile.replica, constant(cold_start_s), patience_s=FOREVER_S
    )
