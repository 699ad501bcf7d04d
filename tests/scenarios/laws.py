"""The laws a schedule runs under: what must be true of a step, beyond what must be true of the fleet after it.

Law: everything here is concluded from events, effects and counts, never from how the core came to them.
"""

from collections import Counter
from dataclasses import dataclass, replace
from math import ceil, inf

from tests.core.story import Ledger
from tests.scenarios.verdicts import Verdicts
from toque.core.fleet import Fleet
from toque.core.invariants import check_fleet, check_rest
from toque.core.pool import Pool
from toque.model.condition import BreakerState
from toque.model.messages import (
    Arrived,
    Dispatch,
    Divert,
    DrainOrdered,
    Effect,
    EnterStage,
    Event,
    Failed,
    RecordBreaker,
    Refuse,
    ReplicaFailed,
    ReplicaStopped,
    SpecChanged,
    StartReplica,
    StopReplica,
)
from toque.model.overload import Stage
from toque.model.ticket import RefusalReason, ServiceClass, Ticket
from toque.model.view import ReplicaState

NEVER_ASLEEP = {"hpa"}
"""Kubernetes' own does not go to zero."""


@dataclass(frozen=True)
class Before:
    """What a pool was like before a step."""

    live: int
    serving: int
    coming: int
    in_flight: int
    retries_live: int
    target: int


class Laws:
    """Watches a fleet step by step. `open`: the replica of each open request, None while it waits."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._ledger = Ledger()
        self._verdicts = Verdicts()
        self._tickets: dict[int, Ticket] = {}
        self._tried: set[int] = set()
        self._gave_up: set[int] = set()
        """Who left a line in this step, which is told at its end."""
        self._contested: Counter[str] = Counter()
        self._contested_batch: Counter[str] = Counter()
        self._contested_at_first = 0
        """After a reload a turn of batch may be due that was earned under another share."""
        self._is_draining = False
        self.stage = Stage.NORMAL
        """Of overload, as the effects told it."""
        self._before: dict[str, Before] = {}
        self._pool_of: dict[int, str] = {}

    @property
    def open(self) -> dict[int, int | None]:
        """Requests that have not ended."""
        return self._ledger.where

    def before(self, event: Event) -> None:
        """Look at the fleet before a step."""
        self._ledger.event(event)
        match event:
            case Arrived(ticket):
                self._tickets[ticket.id] = ticket
            case DrainOrdered():
                self._is_draining = True
            case SpecChanged():  # other shares from now on
                self._contested.clear()
                self._contested_batch.clear()
                self._contested_at_first = 1
            case _:
                pass
        self._before = {name: _look(pool) for name, pool in self._fleet.pools.items()}

    def after(self, event: Event, effects: list[Effect], now: float) -> None:
        """Check the step."""
        self._gave_up = {effect.ticket_id for effect in effects if isinstance(effect, Refuse | Divert)}
        for effect in effects:
            self._check_effect(effect, now)
            self._ledger.effect(effect)
        self._verdicts.step(event, effects, now)
        check_fleet(self._fleet, now)
        journeys = self._fleet.journeys
        assert self.open == {j.ticket.id: j.replica_id for j in journeys.values()}, "the shell would know otherwise"
        if isinstance(event, Arrived):
            self._check_door(event.ticket, [effect.reason for effect in effects if isinstance(effect, Refuse)])
        self.stage = next((effect.stage for effect in effects if isinstance(effect, EnterStage)), self.stage)
        if not isinstance(event, SpecChanged):
            for name, pool in self._fleet.pools.items():
                self._check_pool(pool, self._before[name], event, effects)
                self._check_reserve(pool, effects)

    def check_calm(self, now: float) -> None:
        """Nothing is left of any request, and every pool is as small as it may be."""
        check_rest(self._fleet)
        assert self.stage is Stage.NORMAL, f"still at stage {self.stage.name}"
        assert self._fleet.pools.keys() == {pool.name for pool in self._fleet.spec.pools}, (
            "a pool that left is still here"
        )
        for name, pool in self._fleet.pools.items():
            policy, live = pool.spec.scaling.policy, pool.supply.roster.live
            least = max(pool.spec.replicas.minimum_warm, policy in NEVER_ASLEEP)
            excused = pool.supply.shortage or pool.supply.restart.is_given_up
            assert excused or live >= pool.spec.replicas.minimum_warm, f"{name} keeps {live} replicas warm"
            assert pool.next_wake() == inf or pool.supply.restart.is_given_up, f"{name} ticks at rest"
            if pool.spec.elastic and policy != "fixed":
                assert live <= least, f"{name} keeps {live} replicas for nobody"

    def _check_door(self, ticket: Ticket, reasons: list[RefusalReason]) -> None:
        """Who may come in: nobody while the service ends, and by the stage of overload not batch, or nobody."""
        known = ticket.pool in {pool.name for pool in self._fleet.spec.pools}
        is_shed = self.stage >= (Stage.SHED_BATCH if ticket.service_class is ServiceClass.BATCH else Stage.SHED_ALL)
        if not known:
            assert reasons == [RefusalReason.MODEL_NOT_FOUND]
        elif self._is_draining:
            assert reasons == [RefusalReason.DRAINING]
        elif is_shed:
            assert reasons == [RefusalReason.OVERLOADED], f"{ticket.id} comes in at stage {self.stage.name}"
        else:
            assert RefusalReason.OVERLOADED not in reasons, f"{ticket.id} is shed at stage {self.stage.name}"

    # ---- effects -----------------------------------------------------------------------------------------------------

    def _check_effect(self, effect: Effect, now: float) -> None:
        match effect:
            case Dispatch(ticket_id):
                self._check_turn(self._tickets[ticket_id], now)
                self._tried.add(ticket_id)
            case Divert(ticket_id, pool):
                self._check_way_out(self._tickets[ticket_id], pool)
            case StartReplica(pool, replica_id):
                self._pool_of[replica_id] = pool
            case RecordBreaker(pool, replica_id, BreakerState.EJECTED):
                ready = self._fleet.pools[pool].supply.roster.in_state(ReplicaState.READY)
                others = [replica.breaker.state for replica in ready if replica.id != replica_id]
                assert set(others) - {BreakerState.EJECTED}, f"replica {replica_id} is ejected, the last of {pool}"
            case StopReplica(replica_id):
                replica = self._fleet.pools[self._pool_of[replica_id]].supply.roster.replicas[replica_id]
                assert not replica.in_flight or now >= replica.drain_until, f"replica {replica_id} is stopped too early"
            case _:
                pass

    def _check_way_out(self, ticket: Ticket, name: str) -> None:
        """A request goes along its own list, forwards, to a model that is there, and waits there behind the others."""
        assert self.open.get(ticket.id, 0) is None, f"{ticket.id} is diverted but does not wait"
        assert name in ticket.fallbacks, f"{ticket.id} is diverted to {name}, which is not on its list"
        left = ticket.fallbacks[ticket.fallbacks.index(name) + 1 :]
        self._tickets[ticket.id] = replace(ticket, pool=name, fallbacks=left)
        self._tried.add(ticket.id)

    def _check_turn(self, ticket: Ticket, now: float) -> None:
        """Whose turn it is: in time, in order within a class, priority and tenant, and batch no more often than its share."""
        assert now < ticket.deadline, f"{ticket.id} is dispatched after its deadline"
        journeys = self._fleet.journeys
        resting = {
            number for number, journey in journeys.items() if journey.replica_id is None and journey.not_before > now
        }
        away = self._gave_up | resting
        in_line = [number for number, replica in self.open.items() if replica is None and number not in away]
        waiting = [self._tickets[number] for number in in_line]
        rivals = [other for other in waiting if other.pool == ticket.pool and other.id != ticket.id]
        fresh = [other.id for other in rivals if _rank(other) == _rank(ticket) and other.id not in self._tried]
        assert ticket.id in self._tried or ticket.id < min(fresh, default=inf), f"{ticket.id} jumps the line"
        if any(other.service_class is not ticket.service_class for other in rivals):
            self._contested[ticket.pool] += 1
            self._contested_batch[ticket.pool] += ticket.service_class is ServiceClass.BATCH
            share = self._fleet.pools[ticket.pool].spec.queue.batch_share_ratio
            most = self._contested[ticket.pool] * share + self._contested_at_first
            assert self._contested_batch[ticket.pool] <= most + 1e-9, "batch holds people up more than it may"

    # ---- pools -------------------------------------------------------------------------------------------------------

    def _check_pool(self, pool: Pool, before: Before, event: Event, effects: list[Effect]) -> None:
        name, roster = pool.spec.name, pool.supply.roster
        if pool.retries.live > before.retries_live:
            spec = pool.spec.retry
            allowed = max(spec.budget_min, int(spec.budget_ratio * before.in_flight))
            assert isinstance(event, Failed), "a retry without a failure"
            assert pool.retries.live <= allowed, f"{name}: {pool.retries.live} retries under way, {allowed} allowed"
        self._check_starts(pool, before, effects)
        if roster.live < before.live and not (
            isinstance(event, ReplicaFailed | ReplicaStopped) or pool.supply.outdated
        ):
            assert roster.live >= pool.spec.replicas.minimum_warm, f"{name} shrinks below its minimum"

    def _check_reserve(self, pool: Pool, effects: list[Effect]) -> None:
        """Batch that was dispatched left the reserve free, whatever else happened."""
        tickets = [self._tickets[effect.ticket_id] for effect in effects if isinstance(effect, Dispatch)]
        if not any(t.service_class is ServiceClass.BATCH and t.pool == pool.spec.name for t in tickets):
            return
        spec, slots = pool.spec.batch, pool.supply.roster.slots
        reserve = min(max(spec.reserve_min, ceil(spec.reserve_ratio * slots)), slots - 1)
        held = sum(
            replica is not None
            and self._tickets[number].service_class is ServiceClass.BATCH
            and self._tickets[number].pool == pool.spec.name
            for number, replica in self.open.items()
        )
        assert held <= slots - reserve, f"{pool.spec.name}: batch holds {held} of {slots} slots, {reserve} are reserved"

    def _check_starts(self, pool: Pool, before: Before, effects: list[Effect]) -> None:
        """A cold model is loaded once, and in a crash loop one start is tried at a time."""
        name, starts = pool.spec.name, sum(isinstance(e, StartReplica) and e.pool == pool.spec.name for e in effects)
        assert not (starts and pool.supply.restart.is_given_up), f"{name}: a start into a memory plan that was given up"
        if before.serving:
            return
        if pool.supply.restart.is_crash_loop:
            assert starts <= 1, f"{name}: {starts} starts at once in a crash loop"
        elif before.coming and pool.supply.target > before.target:
            most = max(before.live, pool.spec.replicas.minimum_warm)
            assert pool.supply.target <= most, f"{name}: more are ordered before one has shown that it loads"


def _rank(ticket: Ticket) -> tuple[ServiceClass, int, str]:
    """Among whom it is first come, first served."""
    return ticket.service_class, ticket.priority, ticket.tenant


def _look(pool: Pool) -> Before:
    roster = pool.supply.roster
    serving = roster.ready + roster.doubted
    return Before(roster.live, serving, roster.coming, roster.in_flight, pool.retries.live, pool.supply.target)
