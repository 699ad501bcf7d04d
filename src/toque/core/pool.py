"""The pool: one model's waiting line, replicas and scaler, and the way of a request through them.

Law: every request that is taken in ends exactly once, and a slot that frees is filled in the same step.
"""

from collections.abc import Iterable
from dataclasses import replace

from toque.core.forecast import Forecast, spread
from toque.core.journey import Journey
from toque.core.lifecycle import Step
from toque.core.queue import Line
from toque.core.replica import Replica
from toque.core.retry import RetryBudget
from toque.core.routing import Router
from toque.core.scaler import Scaler, is_news
from toque.core.scaling import Policy
from toque.core.supply import Supply
from toque.model.messages import (
    Decision,
    Dispatch,
    Effect,
    Failed,
    FailureCause,
    ProbeReplica,
    RecordDecision,
    Refuse,
    ReplicaFailed,
    ReplicaReady,
)
from toque.model.spec import PoolSpec
from toque.model.ticket import FailureKind, RefusalReason, Ticket
from toque.model.view import ReplicaState

DOUBTFUL = frozenset({FailureKind.NOT_SENT, FailureKind.LOST, FailureKind.TIMEOUT})
"""Failures after which the replica itself is in doubt: nothing is sent to it until a probe has answered."""


class Pool:
    """One model. Methods append the effects they wish for to `out`."""

    __slots__ = ("_forecast", "_journeys", "_retries", "decision", "line", "scaler", "spec", "supply")

    def __init__(self, spec: PoolSpec, supply: Supply, scaler: Scaler, journeys: dict[int, Journey]) -> None:
        self.spec = spec
        self.supply = supply
        self.scaler = scaler
        self.line = Line(spec.queue)
        self._journeys = journeys
        self.decision: Decision | None = None
        self._retries = RetryBudget(spec.retry)
        self._forecast = Forecast(spec.cold_start)

    @property
    def forecast(self) -> Forecast:
        """What callers may expect here."""
        return self._forecast

    @property
    def retries_live(self) -> int:
        """Retried requests that have not ended."""
        return self._retries.live

    # ---- requests ----------------------------------------------------------------------------------------------------

    def arrive(self, ticket: Ticket, now: float, out: list[Effect]) -> bool:
        """Take a request in, or refuse it; returns whether something may be due earlier than before, or room is short.

        1. too late already; 2. crash loop and nothing ready; 3. first in line and a slot is free: dispatched at once,
        and only the first after a calm wakes the scaler; 4. the line is full; 5. else it waits. An empty pool is started
        by 2, 4 and 5 alike.
        """
        roster = self.supply.roster
        if ticket.deadline <= now:  # 1
            self._refuse(ticket.id, RefusalReason.DEADLINE_EXCEEDED, now, out)
            return False
        if self.supply.restart.is_crash_loop and not roster.ready:  # 2
            self._turn_away(ticket, RefusalReason.NO_HEALTHY_REPLICA, now, out)
            return True
        replica = roster.choose(None) if self.line.is_first(ticket.service_class) else None
        if replica is not None:  # 3
            self._dispatch(self._take_in(ticket, now), replica, now, out)
            return roster.in_flight == 1
        if self.line.is_full(ticket.service_class):  # 4
            self._turn_away(ticket, RefusalReason.QUEUE_FULL, now, out)
        else:  # 5
            journey = self._take_in(ticket, now)
            self._begin_wait(journey, now)
            self.line.join(journey)
            self._start_if_empty(now, out)
        return True

    def finished(self, journey: Journey, now: float, out: list[Effect]) -> None:
        """The answer is complete: the slot is free for the next."""
        self._end(journey, now)
        self._forecast.served(now - journey.dispatched_at)
        self._leave_slot(journey, now, out)
        if self.line:
            self.place(now, out)

    def failed(self, journey: Journey, event: Failed, now: float, out: list[Effect]) -> None:
        """A replica did not answer: doubt it where that is due, and try once more elsewhere where that is safe."""
        replica = self.supply.roster.replicas.get(journey.replica_id or -1)
        if replica is not None and event.kind in DOUBTFUL and self.supply.roster.step(replica, Step.DOUBTED, now):
            out.append(ProbeReplica(replica.id))
        in_time = now < journey.ticket.deadline
        if in_time and not event.began and self._retries.spend(journey, event.kind, self.supply.roster.in_flight):
            self._put_back(journey, now, out)
            return
        self._end(journey, now)
        if not event.began:
            self._refuse(event.ticket_id, RefusalReason.UPSTREAM_LOST, now, out)
        self._leave_slot(journey, now, out)
        self.place(now, out)

    def abandoned(self, journey: Journey, now: float, out: list[Effect]) -> None:
        """The client left: out of the line, or its slot is free."""
        self._end(journey, now)
        if journey.replica_id is None:
            self.line.leave(journey)
        else:
            self._leave_slot(journey, now, out)
            self.place(now, out)

    # ---- replicas ----------------------------------------------------------------------------------------------------

    def replica_ready(self, replica: Replica, event: ReplicaReady, now: float) -> None:
        """A replica came up: learn what that took."""
        if self.supply.roster.step(replica, Step.READY, now):
            self._forecast.started(replica.cold_start)
            self.supply.ready(replica, event.footprint)

    def replica_failed(self, replica: Replica, event: ReplicaFailed, now: float, out: list[Effect]) -> None:
        """A replica died: refuse those who wait where nothing can be expected soon."""
        self.supply.gone(replica)
        if replica.state is ReplicaState.STOPPING:  # it went as it was told, only louder
            return
        self.supply.restart.failed(replica, event.cause, event.reason, now)
        if self.supply.roster.live or self.supply.roster.draining:
            return
        if self.supply.restart.is_crash_loop:
            self.refuse_all(RefusalReason.NO_HEALTHY_REPLICA, now, out)
        elif event.cause is FailureCause.START_TIMEOUT:
            self.refuse_all(RefusalReason.MODEL_LOADING, now, out)

    def restock(self, now: float, out: list[Effect]) -> None:
        """Bring the replicas to their target, at least one if somebody waits, and fill the slots this frees."""
        if self.line and not self.supply.roster.live:
            self.supply.target = max(1, self.supply.target)
        self.supply.reconcile(now, out)
        self.place(now, out)

    # ---- time --------------------------------------------------------------------------------------------------------

    def wake(self, now: float, out: list[Effect]) -> None:
        """Do what is due: give up waits, end graces, restart, and ask the scaler."""
        self._give_up(now, out)
        for replica in list(self.supply.roster.draining.values()):
            self.supply.stop_if_drained(replica, now, out, "its grace is over")
        if now >= self.scaler.next_at:
            self._scale(now, out)
        else:
            self.restock(now, out)

    def next_wake(self) -> float:
        """When `wake` has something to do; inf for never."""
        return min(self.scaler.next_at, self.supply.next_at(), self.line.next_deadline())

    def place(self, now: float, out: list[Effect]) -> None:
        """Give waiting requests to free slots, in turn; a timer that is late keeps nobody whose time is over."""
        if self.line.next_deadline() <= now:
            self._give_up(now, out)
        while self.line:
            replica = self.supply.roster.choose(None)
            if replica is None:
                return
            journey = self.line.take(now)
            if journey.avoid == replica.id:
                replica = self.supply.roster.choose(journey.avoid) or replica
            self._dispatch(journey, replica, now, out)

    def refuse_all(self, reason: RefusalReason, now: float, out: list[Effect]) -> None:
        """Refuse everybody who waits: nothing can be expected soon."""
        self._dismiss(self.line.empty(), reason, now, out)

    # ---- settings ----------------------------------------------------------------------------------------------------

    def revise(self, spec: PoolSpec, policy: Policy, router: Router, now: float, out: list[Effect]) -> None:
        """Go by other settings from now on; who waits beyond a shorter line is refused. `restock` comes next."""
        self.spec = spec
        self._dismiss(self.line.revise(spec.queue), RefusalReason.QUEUE_FULL, now, out)
        self._retries.revise(spec.retry)
        self.scaler.revise(spec, policy, now)
        self.supply.roster.revise(spec.slots, router)
        self.supply.revise(spec, self.scaler.bound(self.supply.target), now, out)

    # ---- steps shared by several events ------------------------------------------------------------------------------

    def _take_in(self, ticket: Ticket, now: float) -> Journey:
        journey = Journey(ticket, now)
        self._journeys[ticket.id] = journey
        self.scaler.arrived(now)
        return journey

    def _dismiss(self, journeys: Iterable[Journey], reason: RefusalReason, now: float, out: list[Effect]) -> None:
        """Refuse those who just left the line."""
        for journey in journeys:
            self._end(journey, now)
            self._refuse(journey.ticket.id, reason, now, out)

    def _begin_wait(self, journey: Journey, now: float) -> None:
        is_cold = not self.supply.roster.ready
        wait_s = self.spec.queue.cold_wait_s_max if is_cold else self.spec.queue.wait_s_max
        journey.give_up_at = min(journey.ticket.deadline, now + wait_s)
        journey.cold_since = now if is_cold else None

    def _dispatch(self, journey: Journey, replica: Replica, now: float, out: list[Effect]) -> None:
        journey.replica_id = replica.id
        journey.dispatched_at = now
        self.supply.roster.take_slot(replica)
        cold_start_s = 0.0
        if journey.cold_since is not None and replica.ready_at is not None:
            cold_start_s = max(0.0, replica.ready_at - journey.cold_since)
        out.append(Dispatch(journey.ticket.id, replica.id, cold_start_s))

    def _give_up(self, now: float, out: list[Effect]) -> None:
        for journey in self.line.expired(now):
            self._end(journey, now)
            self._refuse(journey.ticket.id, self._expiry_reason(journey, now), now, out)

    def _put_back(self, journey: Journey, now: float, out: list[Effect]) -> None:
        """Return a dispatched journey to the front of the line; its slot frees for whoever is next."""
        journey.avoid = journey.replica_id
        self._leave_slot(journey, now, out)
        journey.replica_id = None
        self._begin_wait(journey, now)
        self.line.rejoin(journey)
        self._start_if_empty(now, out)
        self.place(now, out)

    def _end(self, journey: Journey, now: float) -> None:
        del self._journeys[journey.ticket.id]
        if journey.retries:
            self._retries.ended(journey)
        self.scaler.left(now)

    def _leave_slot(self, journey: Journey, now: float, out: list[Effect]) -> None:
        roster = self.supply.roster
        replica = roster.replicas.get(journey.replica_id or -1)
        if replica is not None:  # else it died before its last request was reported
            roster.free_slot(replica, now)
            if roster.draining:
                self.supply.stop_if_drained(replica, now, out, "drained")

    def _start_if_empty(self, now: float, out: list[Effect]) -> None:
        """Somebody wants an answer: a pool without replicas gets one."""
        if not self.supply.roster.live:
            self.supply.target = max(1, self.supply.target)
            self.restock(now, out)

    def _turn_away(self, ticket: Ticket, reason: RefusalReason, now: float, out: list[Effect]) -> None:
        """Refuse a request that is demand nevertheless: the scaler counts it, and an empty pool is started for the next."""
        self._refuse(ticket.id, reason, now, out)
        self.scaler.arrived(now)
        self.scaler.left(now)
        self._start_if_empty(now, out)

    def _scale(self, now: float, out: list[Effect]) -> None:
        """Ask the scaler; while outdated replicas are replaced, two versions are there and their number says nothing."""
        roster, supply = self.supply.roster, self.supply
        if supply.outdated:
            self.scaler.postpone(now)
            self.restock(now, out)
            return
        wait = (self.line.oldest_wait_s(now), self._forecast.cold_start.total_s)
        decision = self.scaler.decide(self.scaler.observe(roster, len(self.line), wait, now), now)
        supply.target = decision.allowed.replicas
        self.restock(now, out)
        decision = replace(decision, after=roster.live, shortage=supply.shortage)
        if is_news(decision, self.decision):
            out.append(RecordDecision(decision))
        self.decision = decision
        self.scaler.rest(decision, now)

    def _refuse(self, ticket_id: int, reason: RefusalReason, now: float, out: list[Effect]) -> None:
        out.append(Refuse(ticket_id, reason, spread(self._retry_after_s(now), ticket_id)))

    def _retry_after_s(self, now: float) -> float:
        roster = self.supply.roster
        if roster.ready:
            return self._forecast.slot_s(len(self.line), roster.slots)
        back_off_s = 0.0 if roster.coming else max(0.0, self.supply.restart.not_before - now)
        return back_off_s + self._forecast.ready_s(roster, now)

    def _expiry_reason(self, journey: Journey, now: float) -> RefusalReason:
        if journey.ticket.deadline <= now:
            return RefusalReason.DEADLINE_EXCEEDED
        if self.supply.roster.ready:
            return RefusalReason.QUEUE_TIMEOUT
        return RefusalReason.NO_CAPACITY if self.supply.shortage else RefusalReason.MODEL_LOADING
