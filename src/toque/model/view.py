"""Views: what people and metrics see of a fleet at one instant.

Law: a view is a copy; holding or changing one touches nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from toque.model.condition import BreakerState
from toque.model.decision import Decision
from toque.model.load import Load
from toque.model.overload import Stage
from toque.model.resources import Resources
from toque.model.spec import ColdStart

LEAVING = "leaving"
"""The condition of a pool that is no longer in the settings and finishes what it has in flight."""


class ReplicaState(StrEnum):
    """Where a replica stands; `core/lifecycle.py` says which step may follow which."""

    STARTING = "starting"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DOUBTED = "doubted"
    DRAINING = "draining"
    STOPPING = "stopping"


COUNTED = frozenset(ReplicaState) - {ReplicaState.DRAINING, ReplicaState.STOPPING}
"""The states of a replica that serves or is to serve."""


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """One replica. Times are seconds of the fleet's clock.

    `breaker_until`: when it may be sent a request again, if that is known; `breaker_reason`: why its breaker is not closed.
    """

    id: int
    state: ReplicaState
    in_flight: int
    slots: int
    started_at: float
    ready_at: float | None
    idle_since: float | None
    footprint: Resources
    cold_start: ColdStart
    breaker: BreakerState = BreakerState.CLOSED
    breaker_until: float | None = None
    breaker_reason: str = ""


@dataclass(frozen=True, slots=True)
class PoolView:
    """One pool.

    `condition` is `ok`, `unhealthy` (no breaker lets requests through), `cold`, `loading`, `restarting`, `crash_loop`,
    `no_capacity`, `draining` or `leaving`. `breaker_turns`: how often its replicas' breakers came into each state so
    far. `hedged`: requests that were sent to a second replica as well. `batch_in_flight` is of those in flight; `preempted`: how
    often one of them was put back. `target` is the number that somebody else set (0: nobody did), `wanted` how many replicas there
    shall be now, whoever said so. `trial` says how its canary does, where it has one.
    """

    name: str
    condition: str
    reason: str
    replicas: tuple[ReplicaView, ...]
    in_flight: int
    waiting_interactive: int
    waiting_batch: int
    slots: int
    minimum_warm: int
    maximum: int
    cold_start: ColdStart
    decision: Decision | None
    breaker_turns: Mapping[BreakerState, int] = field(default_factory=dict)
    hedged: int = 0
    batch_in_flight: int = 0
    preempted: int = 0
    target: int = 0
    wanted: int = 0
    trial: str = ""

    @property
    def ready_slots(self) -> int:
        """Slots of the replicas that are ready."""
        return sum(replica.slots for replica in self.replicas if replica.state is ReplicaState.READY)

    @property
    def load(self) -> Load:
        """What an endpoint picker wants to know."""
        return Load(self.in_flight, self.waiting_interactive + self.waiting_batch, self.ready_slots)

    @property
    def advised(self) -> int:
        """Replicas that the policy wants, within the bounds, whoever sets their number; before its first answer, those there are."""
        if self.decision is None:
            wanted = sum(replica.state in COUNTED for replica in self.replicas)
        else:
            wanted = self.decision.desired.replicas
        return min(max(wanted, self.minimum_warm), self.maximum)

    @property
    def is_asked(self) -> bool:
        """Whether anybody has a request in flight or waiting."""
        return self.in_flight + self.waiting_interactive + self.waiting_batch > 0


@dataclass(frozen=True, slots=True)
class FleetView:
    """All pools, the budget and what is left of it.

    `spent` is what fallbacks cost within the last hour; `pressure` says what holds the stage of overload, if it is one. `leader`
    says who of several controllers leads, in a sentence; empty for a service that is alone.
    """

    now: float
    draining: bool
    capacity: Resources
    free: Resources
    pools: tuple[PoolView, ...]
    spent: float = 0.0
    spending_limit: float = 0.0
    stage: Stage = Stage.NORMAL
    pressure: str = ""
    leader: str = ""
