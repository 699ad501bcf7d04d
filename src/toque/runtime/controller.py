"""The controller owns the fleet: it turns what happens into events, and has the effects carried out.

Law: it alone reads the clock, once a step. It has one timer, set to the core's own next instant. Steps never nest: what is
posted during a step is the next step. Every step goes into the journal.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from math import inf

from toque.core.fleet import Fleet
from toque.core.given import held_of, loads_of
from toque.core.routing import ROUTERS, RouterTable
from toque.core.scaling import POLICIES, PolicyTable
from toque.core.snapshot import view_fleet
from toque.model.agent_spec import ModelSpec
from toque.model.cluster import ClusterEffect, PoolLoad, ReplicaOffered
from toque.model.endpoint import Endpoint
from toque.model.messages import (
    Abandoned,
    Arrived,
    EnterStage,
    Event,
    Failed,
    Finished,
    PressureMeasured,
    ReplicaFailed,
    ReplicaStopped,
    SpecChanged,
    Woke,
)
from toque.model.spec import FleetSpec
from toque.model.ticket import Ticket
from toque.model.view import FleetView
from toque.ports import Driver, Journal, ReplicaStatus, Watcher
from toque.runtime.actuator import Actuator, Waiter


class Controller:
    """One per service, on one event loop.

    `journal` keeps every step; `watchers` (ledger, progress) see only starts and what drivers report, off the hot path.
    `born` is the instant the journal's header names: load averages count from it, so a replay must have the very same.
    """

    def __init__(
        self,
        spec: FleetSpec,
        journal: Journal,
        watchers: Sequence[Watcher] = (),
        policies: PolicyTable = POLICIES,
        routers: RouterTable = ROUTERS,
        *,
        born: float | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        """Float seconds of the fleet's clock: the loop's own method, for each request asks several times."""
        self.born = self.now() if born is None else born
        self._fleet = Fleet(spec, self.born, policies, routers)
        self._journal = journal
        self._watchers = watchers
        self._actuator = Actuator(self.report, self._ordered)
        self.next_ticket_id: Callable[[], int] = count(1).__next__
        """Returns a number no ticket had before."""
        self._backlog: deque[Event] = deque()
        self._is_stepping = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._is_closed = False
        self.steps = 0
        """How many were taken. Without another one, nothing but the time is another in the view."""

    def open(self, drivers: Mapping[str, tuple[Driver, ModelSpec]]) -> None:
        """Learn each pool's driver and begin: replicas that are to be warm are started now."""
        self._actuator.open(drivers)
        self.post(Woke())

    def reload(self, event: SpecChanged, drivers: Mapping[str, tuple[Driver, ModelSpec]]) -> None:
        """Go by other settings: the drivers and models that replicas are started with from now on, then the event."""
        self._actuator.open(drivers)
        self.post(event)

    def obey(self, staged: Callable[[EnterStage], None]) -> None:
        """Learn whom to tell of a stage of overload: whoever lets connections in."""
        self._actuator.obey(staged)

    def ally(self, lent: Callable[[ClusterEffect], None]) -> None:
        """Learn whom to tell of slots that are lent, asked for or given back; what was wished before is told now."""
        self._actuator.lend(lent)

    def held(self) -> Mapping[int, int]:
        """Slots that were lent to this process, by replica."""
        return held_of(self._fleet.pools)

    def loads(self, arrivals: Mapping[str, int]) -> Mapping[str, PoolLoad]:
        """What there is to do in pools of given replicas, since so many people had arrived at each."""
        return loads_of(self._fleet.pools, arrivals, self.now())

    def announce(self, decided: Callable[[], None]) -> None:
        """Learn whom to tell that there is a new decision; the view has it already."""
        self._actuator.announce(decided)

    def feel(self, pressure: PressureMeasured) -> None:
        """Take a sample of this process's pressure; only one that matters is a step."""
        if self._fleet.gate.ladder.matters(pressure, self._loop.time()):
            self.post(pressure)

    def halt(self) -> None:
        """Take no more steps from now on: nothing is decided any more, whatever happens."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()

    async def close(self) -> None:
        """Take no more steps; drivers are closed by whoever opened them."""
        self.halt()

    # ---- requests ----------------------------------------------------------------------------------------------------

    def submit(self, ticket: Ticket, waiter: Waiter) -> None:
        """Hand a ticket in; `waiter` learns what becomes of it, perhaps before this returns."""
        self._actuator.waiters[ticket.id] = waiter
        self.post(Arrived(ticket))

    def post(self, event: Event) -> None:
        """Take a step, or queue it when a step is under way."""
        if self._is_closed:
            return
        if self._is_stepping:
            self._backlog.append(event)
            return
        self._is_stepping = True
        try:
            self._step(event)
            while self._backlog:
                self._step(self._backlog.popleft())
        finally:
            self._is_stepping = False
        if self._fleet.next_wake() < self._timer_at:
            self._set_timer()

    # ---- replicas ----------------------------------------------------------------------------------------------------

    def report(self, event: Event) -> None:
        """Take a driver's word: a step that the watchers see too."""
        self.post(event)
        for watcher in self._watchers:
            watcher.reported(event, self.now())

    def _ordered(self, pool: str, replica_id: int) -> None:
        for watcher in self._watchers:
            watcher.ordered(pool, replica_id, self.now())

    def endpoint(self, replica_id: int) -> Endpoint | None:
        """Where a replica is reached; None when it is gone."""
        driver = self._actuator.driver_of(replica_id)
        return driver.endpoint(replica_id) if driver else None

    def is_ours(self, replica_id: int) -> bool:
        """Whether the process behind the endpoint is still the one we started."""
        driver = self._actuator.driver_of(replica_id)
        return driver is not None and driver.is_ours(replica_id)

    def status(self, replica_id: int) -> ReplicaStatus:
        """What the driver knows of a replica, for display."""
        driver = self._actuator.driver_of(replica_id)
        return driver.status(replica_id) if driver else ReplicaStatus()

    def view(self) -> FleetView:
        """Copy the fleet for people and metrics."""
        return view_fleet(self._fleet, self.now())

    # ---- steps -------------------------------------------------------------------------------------------------------

    def _step(self, event: Event) -> None:
        self.steps += 1
        clock = self.now
        now = clock()
        effects = self._fleet.handle(event, now)
        self._journal.record(now, event, effects)
        match event:
            case Arrived():  # first, for half of all events are of this kind
                pass
            case Finished() | Abandoned() | Failed(began=True):
                self._actuator.waiters.pop(event.ticket_id, None)
            case ReplicaFailed() | ReplicaStopped():
                self._actuator.gone(event.replica_id)
            case ReplicaOffered():
                self._actuator.found(event.pool, event.replica_id)
            case _:
                pass
        for effect in effects:
            self._actuator.carry_out(effect)

    def _set_timer(self) -> None:
        """Keep one timer, never later than the core's next instant; an early one just asks again."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._fleet.next_wake()
        self._timer = self._loop.call_at(self._timer_at, self._on_timer) if self._timer_at < inf else None

    def _on_timer(self) -> None:
        self._timer, self._timer_at = None, inf
        if self._fleet.next_wake() <= self.now():
            self.post(Woke())
        else:
            self._set_timer()
