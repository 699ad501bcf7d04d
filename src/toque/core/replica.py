"""One replica as the core knows it, and the stopwatch of its cold start.

Law: `in_flight` never exceeds `slots`; times are those of the events that told them.
"""

from math import inf
from typing import Final

from toque.core.breaker import Breaker
from toque.core.lifecycle import COMING, Step
from toque.model.condition import BreakerState
from toque.model.resources import Resources
from toque.model.spec import ColdStart
from toque.model.view import ReplicaState, ReplicaView

READY: Final = ReplicaState.READY


class Replica:
    """A running (or coming, or leaving) copy of an agent."""

    __slots__ = (
        "breaker",
        "delay",
        "drain_until",
        "footprint",
        "id",
        "idle_since",
        "in_flight",
        "is_barred",
        "lent",
        "look_at",
        "slots",
        "state",
        "times",
    )

    def __init__(self, replica_id: int, slots: int, footprint: Resources, breaker: Breaker, now: float) -> None:
        self.id = replica_id
        self.slots = slots
        self.footprint = footprint
        self.breaker = breaker
        self.is_barred = False  # what the breaker says, where the router reads it
        self.look_at = 0.0  # answers before this say nothing new of its speed
        self.state = ReplicaState.STARTING
        self.in_flight = 0
        self.lent = 0  # of its slots, those that gateways have
        self.times: dict[Step | None, float] = {None: now}
        self.idle_since: float | None = None
        self.drain_until = 0.0
        self.delay = ""  # what its start waits for

    @property
    def started_at(self) -> float:
        """When it was ordered."""
        return self.times[None]

    @property
    def ready_at(self) -> float | None:
        """When it first became ready."""
        return self.times.get(Step.READY)

    @property
    def is_coming(self) -> bool:
        """Ordered but not ready yet."""
        return self.state in COMING

    @property
    def is_routable(self) -> bool:
        """Whether it may be sent requests, if it has a free slot."""
        return self.state is READY and not self.is_barred

    def enter(self, state: ReplicaState, step: Step, now: float) -> None:
        """Be in the state that `step` leads to; the roster has asked the lifecycle table."""
        self.state = state
        self.times.setdefault(step, now)
        if step is Step.READY:
            self.idle_since = now
            self.delay = ""

    @property
    def cold_start(self) -> ColdStart:
        """The phases measured so far; a driver that tells no phases has everything under `load_s`."""
        ready = self.times.get(Step.READY)
        if ready is None:
            return ColdStart()
        spawned = self.times.get(Step.SPAWNED, self.started_at)
        loaded = self.times.get(Step.LOADED, ready)
        return ColdStart(spawned - self.started_at, loaded - spawned, ready - loaded)

    def view(self) -> ReplicaView:
        """Return a copy for people."""
        breaker = self.breaker
        return ReplicaView(
            id=self.id,
            state=self.state,
            in_flight=self.in_flight,
            slots=self.slots,
            started_at=self.started_at,
            ready_at=self.ready_at,
            idle_since=self.idle_since,
            footprint=self.footprint,
            cold_start=self.cold_start,
            breaker=breaker.state,
            breaker_until=breaker.until if breaker.until < inf else None,
            breaker_reason=breaker.reason if breaker.state is not BreakerState.CLOSED else "",
        )
