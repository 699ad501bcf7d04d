"""The pool: one model's waiting line, replicas and scaler, and the way of a request through them.

Law: every request that is taken in ends exactly once, and a slot that frees is filled in the same step.
"""

from dataclasses import replace
from math import inf

from toque.core.admission import Admission
from toque.core.appeal import Appeals
from toque.core.batch_share import BatchShare
from toque.core.exits import Exits
from toque.core.forecast import Forecast
from toque.core.journey import Journey
from toque.core.lifecycle import Step
from toque.core.outlook import Outlook
from toque.core.placing import Placing
from toque.core.policy import Policy
from toque.core.queue import Line
from toque.core.register import Register
from toque.core.replica import Replica
from toque.core.retry import RetryBudget
from toque.core.routing import Router
from toque.core.scaler import Scaler, is_news
from toque.core.slots import Slots
from toque.core.supply import Supply
from toque.core.trust import Trust
from toque.model.cluster import AskForSlots
from toque.model.condition import NO_ROOM, FailureCause
from toque.model.decision import Decision
from toque.model.messages import Effect, Failed, Finished, RecordDecision, ReplicaFailed, ReplicaReady
from toque.model.spec import PoolSpec
from toque.model.ticket import FailureKind, RefusalReason, ServiceClass, Ticket
from toque.model.view import ReplicaState

BATCH, INTERACTIVE = ServiceClass.BATCH, ServiceClass.INTERACTIVE


class Pool:
    """One model. Methods append the effects they wish for to `out`."""

    __slots__ = (
        "admission",
        "decision",
        "exits",
        "forecast",
        "line",
        "placing",
        "register",
        "retries",
        "scaler",
        "share",
        "slots",
        "spec",
        "supply",
        "trust",
    )

    def __init__(
        self, spec: PoolSpec, supply: Supply, scaler: Scaler, journeys: dict[int, Journey], appeals: Appeals
    ) -> None:
        self.spec = spec
        self.supply = supply
        self.scaler = scaler
        self.admission = Admission(spec, supply.roster)
        self.line = Line(spec.queue, self.admission)
        self.trust = Trust(spec, supply.roster, journeys)
        self.decision: Decision | None = None
        self.retries = RetryBudget(spec.retry, supply.roster)
        self.register = Register(journeys, scaler, self.retries, self.line)
        self.share = BatchShare(spec, supply.roster, self.line)
        self.slots = Slots(spec, supply, self.trust, self.retries, self.share)
        self.forecast = Forecast(spec.cold_start)
        outlook = Outlook(self.line, supply, self.trust, self.forecast, self.share)
        self.exits = Exits(spec, self.line, self.register, outlook, appeals)
        self.placing = Placing(spec, supply.roster, self.line, self.slots, self.share, self.exits)

    # ---- requests ----------------------------------------------------------------------------------------------------

    def arrive(self, ticket: Ticket, now: float, out: list[Effect]) -> bool:
        """Take a request in, or refuse it; returns whether something may be due earlier than before, or room is short.

        1. too late already; 2. crash loop and nothing ready, or every breaker is open; 3. first in line, not held back, and a
        slot is free or batch gives one up: dispatched at once, and only the first after a calm wakes anybody; else it is to wait.
        """
        roster = self.supply.roster
        if ticket.deadline <= now:  # 1
            self.exits.refuse(ticket, RefusalReason.DEADLINE_EXCEEDED, now, out)
            return False
        if roster.ready <= roster.barred and self.exits.outlook.is_hopeless(now):  # 2
            self._turn_away(ticket, self.exits.outlook.verdict or RefusalReason.NO_HEALTHY_REPLICA, now, out)
            return True
        preempted = self.share.preempted
        is_held_back = self.admission.is_bounded and self.admission.holds_back(self.forecast.cost_tokens(ticket))
        replica = None if is_held_back else self.placing.slot_for(ticket.service_class, now, out)
        if replica is None:
            self._wait(ticket, now, out)
            return True
        journey = self.register.enter(ticket, now)  # 3
        if self.admission.is_bounded:
            journey.cost_tokens = self.forecast.cost_tokens(ticket)
            self.line.admit(journey)
        self.slots.take(journey, replica, now, out)
        if roster.in_flight > 1 and self.slots.timer.next_at == inf and self.share.preempted == preempted:
            return False
        self.trust.rouse(now)
        return True

    def finished(self, journey: Journey, event: Finished, now: float, out: list[Effect]) -> bool:
        """The answer is complete: the slot is free for the next. Returns whether something may be due earlier now."""
        self.register.end(journey, now, event.prompt_tokens + event.output_tokens or None)
        if journey.ticket.whole_tokens_max:
            self.slots.answered(journey, event.replica_id, now, out)
        self.forecast.served(now - journey.dispatched_at, event.output_tokens)
        if journey.ticket.service_class is BATCH:
            self.share.finished(journey, now)
        replica = self.supply.roster.replicas.get(journey.replica_id or -1)
        is_alert = replica is not None and replica.breaker.is_alert
        if replica is not None and (is_alert or now >= replica.look_at):
            self.trust.finished(replica, journey, event, now, out)
        self.slots.leave(journey, now, out)
        if self.line:
            self.place(now, out)
        return is_alert or self.slots.timer.next_at < inf or self.placing.next_at < inf

    def failed(self, journey: Journey, event: Failed, now: float, out: list[Effect]) -> None:
        """A replica did not answer: trust it less, and try once more elsewhere where that is safe."""
        if self.slots.drop(journey, event, now, out):
            self.place(now, out)
            return
        replica = self.supply.roster.replicas.get(journey.replica_id or -1)
        if replica is not None:
            self.trust.failed(replica, journey, event, now, out)
        in_time = now < journey.ticket.deadline
        if in_time and not event.began and self.retries.spend(journey, event.kind, replica, self.scaler.arrivals):
            self._put_back(journey, event.kind, now, out)
            return
        self.register.end(journey, now, None if event.began else 0)
        if not event.began:
            self.exits.refuse(journey.ticket, RefusalReason.UPSTREAM_LOST, now, out)
        self.slots.leave(journey, now, out)
        self.place(now, out)

    def abandoned(self, journey: Journey, now: float, out: list[Effect]) -> None:
        """The client left: out of the line, or its slot is free."""
        if journey.replica_id is None:
            self.release(journey, now, out)
        else:
            self.register.end(journey, now, None)
            self.slots.leave(journey, now, out)
            self.place(now, out)

    def release(self, journey: Journey, now: float, out: list[Effect]) -> None:
        """Let one that waits go, because its client left or another pool takes it: a large one may make room for others."""
        self.register.end(journey, now)
        self.line.leave(journey)
        if self.admission.is_bounded:
            self.place(now, out)

    # ---- replicas ----------------------------------------------------------------------------------------------------

    def replica_ready(self, replica: Replica, event: ReplicaReady, now: float) -> None:
        """A replica came up: learn what that took."""
        if self.supply.roster.step(replica, Step.READY, now):
            self.forecast.started(replica.cold_start)
            self.supply.ready(replica, event.footprint)

    def replica_failed(self, replica: Replica, event: ReplicaFailed, now: float, out: list[Effect]) -> None:
        """A replica died: refuse those who wait where nothing can be expected soon."""
        self.gone(replica)
        if replica.state is ReplicaState.STOPPING:  # it went as it was told, only louder
            return
        self.supply.restart.failed(replica, event.cause, event.reason, now)
        if self.supply.roster.live or self.supply.roster.draining:
            return
        if self.supply.restart.is_crash_loop:
            self.refuse_all(RefusalReason.NO_HEALTHY_REPLICA, now, out)
        elif event.cause is FailureCause.START_TIMEOUT:
            self.refuse_all(RefusalReason.MODEL_LOADING, now, out)
        elif event.cause in NO_ROOM:
            self.refuse_all(RefusalReason.NO_CAPACITY, now, out)
        else:
            self.exits.ask_all(now)

    def gone(self, replica: Replica) -> None:
        """Nothing is left of a replica."""
        self.supply.gone(replica)
        self.trust.gone(replica)

    def restock(self, now: float, out: list[Effect]) -> None:
        """Bring the replicas to their target, at least one if somebody waits, and fill the slots this frees."""
        if (self.line or self.scaler.elsewhere.waits) and not self.supply.roster.live:
            self.supply.want_one()
        self.supply.reconcile(now, out)
        self.line.let_in(now)
        self.place(now, out)
        self.trust.rouse(now)

    # ---- time and settings -------------------------------------------------------------------------------------------

    def wake(self, now: float, out: list[Effect]) -> None:
        """Do what is due: give up waits, end graces, restart, and ask the scaler."""
        self.exits.give_up(now, out)
        self.placing.wake(now, out)
        self.trust.wake(now, out)
        self.slots.wake(self.register.journeys, self.line, self.scaler.arrivals, now, out)
        for replica in list(self.supply.roster.draining.values()):
            self.supply.stop_if_drained(replica, now, out, "its grace is over")
        if now >= self.scaler.next_at:
            self._scale(now, out)
        else:
            self.restock(now, out)

    def next_wake(self) -> float:
        """When `wake` has something to do; inf for never."""
        own = min(self.scaler.next_at, self.trust.next_at)
        tried = min(self.slots.timer.next_at, self.placing.next_at)
        return min(min(own, tried), min(self.supply.next_at(), self.line.next_deadline()))  # noqa: PLW3301 - pairs compile well

    def place(self, now: float, out: list[Effect]) -> None:
        """Give waiting requests to free slots, in turn, but to nobody whose time is over."""
        if self.line.next_deadline() <= now:
            self.exits.give_up(now, out)
        self.placing.fill(now, out)
        if self.line and self.trust.is_outage(now):
            self.refuse_all(RefusalReason.NO_HEALTHY_REPLICA, now, out)

    def refuse_all(self, reason: RefusalReason, now: float, out: list[Effect]) -> None:
        """Refuse everybody who waits: nothing can be expected soon."""
        self.exits.dismiss(self.line.empty(), reason, now, out)

    def revise(self, spec: PoolSpec, policy: Policy, router: Router, now: float, out: list[Effect]) -> None:
        """Go by other settings from now on; who waits beyond a shorter line is refused. `restock` comes next."""
        self.spec = spec
        self.exits.dismiss(self.line.revise(spec.queue), RefusalReason.QUEUE_FULL, now, out)
        self.retries.revise(spec.retry)
        self.scaler.revise(spec, policy, now)
        self.trust.revise(spec)
        self.slots.timer.revise(spec.hedge)
        self.exits.revise(spec)
        self.admission.revise(spec)
        self.placing.revise(spec)
        self.supply.roster.revise(spec, router)
        self.supply.revise(spec, self.scaler.bound(self.supply.target), now, out)

    # ---- steps shared by several events ------------------------------------------------------------------------------

    def _wait(self, ticket: Ticket, now: float, out: list[Effect]) -> None:
        """Let a newcomer wait, unless the line is full and nobody of another tenant makes way. An empty pool is started."""
        if self.exits.standing.is_full(ticket.service_class, now):
            self.exits.dismiss(self.line.make_room(ticket), RefusalReason.RATE_LIMITED, now, out)
        if self.line.is_full(ticket.service_class):
            self._turn_away(ticket, self.line.fullness(ticket), now, out)
            return
        journey = self.register.enter(ticket, now)
        journey.cost_tokens = self.forecast.cost_tokens(ticket)
        self.exits.plan(journey, now)
        self.line.join(journey)
        self._start_if_empty(now, out)
        if self.share.yields:
            self.place(now, out)
        self.exits.ask_if_due(journey, now)
        if self.spec.given and len(self.line) == 1:
            out.append(AskForSlots(self.spec.name))

    def _put_back(self, journey: Journey, kind: FailureKind, now: float, out: list[Effect]) -> None:
        """Return a dispatched journey to the front of the line, perhaps after a rest; its slot frees for whoever is next."""
        self.placing.put_back(journey, self.retries.rest_s(journey, kind), now, out)
        self._start_if_empty(now, out)
        self.place(now, out)
        self.exits.ask_if_due(journey, now)

    def _start_if_empty(self, now: float, out: list[Effect]) -> None:
        """Somebody wants an answer: a pool without replicas gets one."""
        if not self.supply.roster.live:
            self.supply.want_one()
            self.restock(now, out)

    def _turn_away(self, ticket: Ticket, reason: RefusalReason, now: float, out: list[Effect]) -> None:
        """Refuse a newcomer; an empty pool is started for the next."""
        self.exits.turn_away(ticket, reason, now, out)
        self._start_if_empty(now, out)

    def _scale(self, now: float, out: list[Effect]) -> None:
        """Ask the scaler; but while outdated replicas are replaced there are two versions, whose number says nothing."""
        roster, supply = self.supply.roster, self.supply
        if supply.outdated or self.scaler.is_blind:
            self.scaler.postpone(now)
            self.restock(now, out)
            return
        people = (roster.in_flight - len(self.share.in_flight), self.line.people)
        wait = (self.line.oldest_wait_s(INTERACTIVE, now), self.forecast.cold_start.total_s)
        decision = self.scaler.decide(self.scaler.observe(roster, people, wait, now), now)
        supply.target = decision.allowed.replicas
        self.restock(now, out)
        decision = replace(decision, after=roster.live, shortage=supply.obstacle)
        if is_news(decision, self.decision):
            out.append(RecordDecision(decision))
        self.decision = decision
        self.scaler.rest(decision, now)
