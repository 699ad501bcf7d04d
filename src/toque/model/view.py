"""Views: what people and metrics see of a fleet at one instant.

Law: a view is a copy; holding or changing one touches nothing.
"""

from dataclasses import dataclass
from enum import StrEnum

from toque.model.messages import Decision
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


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """One replica. Times are seconds of the fleet's clock."""

    id: int
    state: ReplicaState
    in_flight: int
    slots: int
    started_at: float
    ready_at: float | None
    idle_since: float | None
    footprint: Resources
    cold_start: ColdStart


@dataclass(frozen=True, slots=True)
class PoolView:
    """One pool. `condition` is `ok`, `cold`, `loading`, `restarting`, `crash_loop`, `no_capacity`, `draining`, `leaving`."""

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


@dataclass(frozen=True, slots=True)
class FleetView:
    """All pools, the budget and what is left of it."""

    now: float
    draining: bool
    capacity: Resources
    free: Resources
    pools: tuple[PoolView, ...]
