"""The fleet: all pools under one capacity budget. The whole mind behind two calls, `handle` and `next_wake`.

Law: `handle(event, now)` returns what should happen and touches nothing else; the same events at the same times give the
same effects, always. Nothing here polls: `next_wake` names the next instant at which time alone changes anything.
"""

from collections.abc import Set as AbstractSet
from itertools import count
from math import inf
from typing import TypeAlias, assert_never

from toque.core.appeal import Appeals
from toque.core.budget import Budget
from toque.core.fallback import Fallback
from toque.core.gate import Gate
from toque.core.given import heed
from toque.core.journey import Journey
from toque.core.lending import Lending
from toque.core.pool import Pool
from toque.core.revision import needs_new_replicas, without_future
from toque.core.roster import Roster
from toque.core.routing import ROUTERS, RouterTable
from toque.core.scaler import Scaler
from toque.core.scaling import POLICIES, PolicyTable
from toque.core.shortage import Shortage
from toque.core.spending import Spending
from toque.core.supply import Supply
from toque.core.tidings import tell
from toque.core.trial import Trials
from toque.model.cluster import FromController, FromDriver, FromGateways, ReplicasAdopted, ScalingFrozen
from toque.model.messages import (
    Abandoned,
    Arrived,
    Began,
    DrainOrdered,
    Effect,
    Event,
    Failed,
    Finished,
    PressureMeasured,
    Refuse,
    ReplicaEvent,
    SpecChanged,
    Woke,
)
from toque.model.spec import FleetSpec, PoolSpec
from toque.model.ticket import RefusalReason, ServiceClass, Ticket

Word: TypeAlias = ReplicaEvent | FromDriver | FromController | FromGateways | SpecChanged


class Fleet:
    """All pools. `now` is float seconds of one monotonic clock, never smaller than at the call before."""

    def __init__(
        self, spec: FleetSpec, now: float, policies: PolicyTable = POLICIES, routers: RouterTable = ROUTERS
    ) -> None:
        self.spec = spec
        self._policies = policies
        self._routers = routers
        self.budget = Budget(spec.capacity)
        self.gate = Gate(spec.overload)
        self.pools: dict[str, Pool] = {}  # those that are leaving too
        self._doors: dict[str, Pool] = {}  # the pools that take requests
        self.journeys: dict[int, Journey] = {}
        self._replica_ids = count(1)
        self._owners: dict[int, Pool] = {}
        self.spending = Spending(spec.spending)
        self._appeals = Appeals(self.spending)
        self._pending = self._appeals.pending  # asked for after every step
        self._fallback = Fallback(self.journeys, self.pools, self._doors, self._appeals, self._enter)
        self.trials = Trials(self._doors)
        self._shortage = Shortage(self.pools, self.budget, self._note)
        self.short = self._shortage.short  # pools that lack room, longest first
        self.lending = Lending(self.pools, self._owners, self._settle, self._wake_by)
        self._dirty = self.lending.dirty
        self._wake_at = now if spec.pools else inf
        for pool in spec.pools:
            self._open(pool, now)

    @property
    def leaving(self) -> AbstractSet[str]:
        """Names of the pools that take no more requests and will be gone with their last one."""
        return self.pools.keys() - self._doors.keys()

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take one event in and return the effects, in the order in which they should be carried out."""
        out: list[Effect] = []
        match event:
            case Arrived():
                self._arrived(event.ticket, now, out)
            case Finished() | Failed() | Abandoned():
                self._ended(event, now, out)
            case Woke():
                self._woke(now, out)
            case Began():
                self._began(event)
            case DrainOrdered() | PressureMeasured():
                self.gate.hear(event, now, out)
            case _:
                self._told(event, now, out)
        if self._pending:
            self._fallback.hear(now, out)
        if self._dirty or self.trials.live:
            self.trials.learn(event, out)
            self.lending.settle(now, out)
        return out

    def next_wake(self) -> float:
        """When to send `Woke` if nothing else happens before; inf for never. It may be early, never late."""
        return self._wake_at

    def owned(self) -> set[int]:
        """Replicas whose word is still taken."""
        return set(self._owners)

    # ---- requests ----------------------------------------------------------------------------------------------------

    def _arrived(self, ticket: Ticket, now: float, out: list[Effect]) -> None:
        pool = self._doors.get(ticket.pool)
        if pool is None:
            out.append(Refuse(ticket.id, RefusalReason.MODEL_NOT_FOUND, 0.0))
        elif self.gate.is_guarded and (refusal := self.gate.refusal(ticket)):
            out.append(refusal)
        else:
            self._enter(*self.trials.lead(pool, ticket, out), now, out)

    def _enter(self, pool: Pool, ticket: Ticket, now: float, out: list[Effect]) -> None:
        """Let a ticket arrive at a pool, from outside or from another pool."""
        if pool.arrive(ticket, now, out):
            self._note(pool)
            if pool.supply.shortage and not pool.supply.roster.live:
                self._shortage.relieve(now, out)

    def _ended(self, event: Finished | Failed | Abandoned, now: float, out: list[Effect]) -> None:
        journey = self.journeys.get(event.ticket_id)
        if journey is None or (journey.replica_id is None and not isinstance(event, Abandoned)):
            return  # it was refused meanwhile, taken back, or reported twice
        pool = self.pools[journey.ticket.pool]
        if self.spending.reserved:
            self.spending.charge(event, now, was_sent=journey.replica_id is not None)
        match event:
            case Finished():
                if pool.finished(journey, event, now, out):
                    self._note(pool)
            case Failed():
                pool.failed(journey, event, now, out)
                self._note(pool)  # it may wait again; the other ends make nothing due earlier
            case Abandoned():
                pool.abandoned(journey, now, out)
            case _:
                assert_never(event)
        if self.short or len(self._doors) != len(self.pools):
            self._tidy_up(pool, now, out)

    def _began(self, event: Began) -> None:
        if journey := self.journeys.get(event.ticket_id):
            self.pools[journey.ticket.pool].share.begun(event.ticket_id)

    def _tidy_up(self, pool: Pool, now: float, out: list[Effect]) -> None:
        """A request of this pool has ended: 1. it may be able to miss something now; 2. it may have been its last."""
        if self.short and not pool.line.length(ServiceClass.INTERACTIVE):  # 1
            self._shortage.relieve(now, out)
        self._forget_if_gone(pool)  # 2

    # ---- replicas ----------------------------------------------------------------------------------------------------

    def _told(self, told: Word, now: float, out: list[Effect]) -> None:
        """Take a word of drivers, of a controller, of gateways or of whoever sets it up."""
        if isinstance(told, FromGateways):
            self.lending.hear(told, now, out)
        elif isinstance(told, FromController):
            pool = heed(told, self._owners, self.pools, now, out)
            if pool is not None:
                self._note(pool)
        elif isinstance(told, ReplicasAdopted):
            self._adopted(told, now, out)
        elif isinstance(told, ScalingFrozen):
            self.budget.frozen = told.reason
            for each in self.pools.values():
                self._rouse(each, now, out)
        elif isinstance(told, SpecChanged):
            self._spec_changed(told, now, out)
        else:
            self._replica_event(told, now, out)

    def _replica_event(self, event: ReplicaEvent, now: float, out: list[Effect]) -> None:
        pool = self._owners.get(event.replica_id)
        if pool is None:  # a late word about a replica that is gone
            return
        if tell(pool, pool.supply.roster.replicas[event.replica_id], event, now, out):
            del self._owners[event.replica_id]
        self._shortage.offer(now, out)
        self._rouse(pool, now, out)
        self._forget_if_gone(pool)

    def _adopted(self, event: ReplicasAdopted, now: float, out: list[Effect]) -> None:
        """Want as many replicas as a predecessor had, until the policy says otherwise; nobody wants fewer for a change of leader."""
        pool = self._doors.get(event.pool)
        if pool is not None:
            pool.supply.adopt(event.count)
            self._rouse(pool, now, out)

    # ---- settings ----------------------------------------------------------------------------------------------------

    def _spec_changed(self, event: SpecChanged, now: float, out: list[Effect]) -> None:
        """Go by other settings: pools come, change and leave; what is the same in both is not touched."""
        self.gate.revise(event.spec.overload, out)
        self.spec = event.spec
        self.budget.capacity = event.spec.capacity
        self.spending.revise(event.spec.spending)
        kept = {spec.name for spec in event.spec.pools}
        for pool in [pool for name, pool in self._doors.items() if name not in kept]:
            del self._doors[pool.spec.name]
            self._revise(pool, without_future(pool.spec), now, out)
            pool.refuse_all(RefusalReason.MODEL_NOT_FOUND, now, out)
            pool.supply.leave(now, out)
            self._note(pool)
            self._forget_if_gone(pool)
        for spec in event.spec.pools:
            self._renew(spec, now, out, is_told=spec.name in event.renewed)
        self._shortage.offer(now, out)

    def _renew(self, spec: PoolSpec, now: float, out: list[Effect], *, is_told: bool) -> None:
        """Bring one pool to its spec: 1. it is new; 2. it was about to leave, or its model changed; 3. its limits did."""
        pool = self.pools.get(spec.name)
        is_renewed = pool is not None and (is_told or spec.name in self.leaving or needs_new_replicas(pool.spec, spec))
        if pool is None:  # 1
            pool = self._open(spec, now)
        elif is_renewed:  # 2
            self._doors[spec.name] = pool
            self.trials.forget(spec.name)
            self._revise(pool, spec, now, out)
            pool.supply.renew(now, out)
        elif spec != pool.spec:  # 3
            self._revise(pool, spec, now, out)
        else:
            return
        pool.restock(now, out)
        self._settle(pool, now, out)

    def _revise(self, pool: Pool, spec: PoolSpec, now: float, out: list[Effect]) -> None:
        pool.revise(spec, self._policies[spec.scaling.policy](spec), self._routers[spec.routing](), now, out)

    def _forget_if_gone(self, pool: Pool) -> None:
        """Strike a pool that is leaving and has neither replicas nor requests left."""
        name = pool.spec.name
        if name in self.leaving and not pool.supply.roster.replicas and not pool.scaler.own_demand:
            del self.pools[name]
            self.short.pop(name, None)
            self.lending.close(name)

    # ---- time --------------------------------------------------------------------------------------------------------

    def _woke(self, now: float, out: list[Effect]) -> None:
        for pool in self.pools.values():
            if pool.next_wake() <= now:
                pool.wake(now, out)
                self._settle(pool, now, out)
        self.lending.wake(now)
        self._wake_at = min((pool.next_wake() for pool in self.pools.values()), default=self.lending.next_at())
        self._wake_by(self.lending.next_at())

    def _rouse(self, pool: Pool, now: float, out: list[Effect]) -> None:
        """Something changed about a pool's replicas: do what it needs now, and ask its policy soon."""
        pool.scaler.rouse(now)
        pool.restock(now, out)
        self._settle(pool, now, out)

    def _settle(self, pool: Pool, now: float, out: list[Effect]) -> None:
        """After the replicas of a pool changed, or what it wants: whoever lacks room may now get it."""
        self._note(pool)
        self._shortage.relieve(now, out)

    def _wake_by(self, at: float) -> None:
        self._wake_at = min(self._wake_at, at)

    def _note(self, pool: Pool) -> None:
        """Remember a pool's next instant, and whether it lacks room."""
        self._wake_at = min(self._wake_at, pool.next_wake())  # only when time is up all pools are asked
        if pool.supply.shortage:
            self.short[pool.spec.name] = None

    def _open(self, spec: PoolSpec, now: float) -> Pool:
        roster = Roster(spec, self._routers[spec.routing]())
        supply = Supply(spec, roster, self.budget, lambda: self._enter_replica(spec.name))
        scaler = Scaler(spec, self._policies[spec.scaling.policy](spec), now)
        pool = Pool(spec, supply, scaler, self.journeys, self._appeals)
        self.pools[spec.name] = self._doors[spec.name] = pool
        if self.spec.lends:
            self.lending.open(pool)
        return pool

    def _enter_replica(self, name: str) -> int:
        replica_id = next(self._replica_ids)
        self._owners[replica_id] = self.pools[name]
        return replica_id
