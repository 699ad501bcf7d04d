"""Exits: the ways out of one pool without an answer of its own, which are to be refused and to ask for another pool.

Law: every refusal leaves here. Who waits and asks keeps its place until another pool takes it, and asks again after its
patience once more; only requests that have fallbacks ask, and for all others nothing is computed.
"""

from collections.abc import Iterable
from math import inf

from toque.core.appeal import Appeals
from toque.core.journey import Journey
from toque.core.outlook import Outlook
from toque.core.queue import Line
from toque.core.register import Register
from toque.core.standing import Standing
from toque.model.messages import Effect
from toque.model.spec import PoolSpec
from toque.model.ticket import FallbackCause, RefusalReason, ServiceClass, Ticket

ASK_AGAIN_S_MIN = 1.0
"""However short the patience: whom no pool took does not ask more often."""


class Exits:
    """Those of one pool; `outlook` says what to expect of it, `standing` how many may wait."""

    __slots__ = ("_appeals", "_line", "_register", "_spec", "outlook", "standing")

    def __init__(self, spec: PoolSpec, line: Line, register: Register, outlook: Outlook, appeals: Appeals) -> None:
        self._spec = spec
        self._line = line
        self._register = register
        self.outlook = outlook
        self._appeals = appeals
        self.standing = Standing(spec.queue, line, outlook)

    def revise(self, spec: PoolSpec) -> None:
        """Go by other settings; those who wait keep what they were told."""
        self._spec = spec
        self.standing.revise(spec.queue)

    def refuse(self, ticket: Ticket, reason: RefusalReason, now: float, out: list[Effect]) -> None:
        """Refuse a ticket that has ended here, unless another pool takes it in the same step."""
        self.standing.refused(ticket.service_class, reason, now)
        self._appeals.refuse(ticket, reason, self.outlook.come_again_s(ticket.id, now), now, out)

    def turn_away(self, ticket: Ticket, reason: RefusalReason, now: float, out: list[Effect]) -> None:
        """Refuse a newcomer that is demand nevertheless: the scaler counts it."""
        self.refuse(ticket, reason, now, out)
        self._register.pass_by(ticket, now)

    def dismiss(self, journeys: Iterable[Journey], reason: RefusalReason, now: float, out: list[Effect]) -> None:
        """Refuse those who just left the line."""
        for journey in journeys:
            self._register.end(journey, now)
            self.refuse(journey.ticket, reason, now, out)

    def give_up(self, now: float, out: list[Effect]) -> None:
        """Refuse those who waited in vain; those whose patience is over ask elsewhere and wait on."""
        for journey in self._line.due(now):
            if now < journey.give_up_at:
                self._ask(journey, now)
            else:
                self._line.leave(journey)
                self.dismiss([journey], self.outlook.expiry_reason(journey, now), now, out)

    def plan(self, journey: Journey, now: float) -> None:
        """Set the instants of one that is about to join the line: when it gives up, and when it asks elsewhere."""
        journey.wait(self._spec.queue, now, is_cold=self.outlook.is_cold)
        if journey.ticket.fallbacks:
            journey.appeal_at = self._appeal_at(journey.ticket.service_class, now)
            journey.due_at = min(journey.give_up_at, journey.appeal_at)

    def ask_if_due(self, journey: Journey, now: float) -> None:
        """Let one that waits ask for another pool, if its time for that has come."""
        if journey.appeal_at <= now and journey.replica_id is None:
            self._ask(journey, now)

    def ask_all(self, now: float) -> None:
        """Let everybody ask who may: nothing answers here any more."""
        for journey in self._line.waiting():
            if journey.ticket.fallbacks:
                self._ask(journey, now)

    def _appeal_at(self, service_class: ServiceClass, now: float) -> float:
        """When one that begins to wait asks elsewhere: at once where it would be too long, else when patience is over."""
        patience_s = self._patience_s(service_class)
        is_hopeless = patience_s == inf and bool(self.outlook.trouble)
        if is_hopeless or self.outlook.wait_s(service_class, now) > patience_s:
            return now
        return now + patience_s

    def _ask(self, journey: Journey, now: float) -> None:
        service_class = journey.ticket.service_class
        patience_s = self._patience_s(service_class)
        if trouble := self.outlook.trouble:
            self._appeals.plead(journey.ticket, FallbackCause.FAILURE, f"nothing answers: {trouble}", inf)
        else:
            waited_s, wait_s = now - journey.arrived_at, self.outlook.wait_s(service_class, now, is_in_line=True)
            reason = (
                f"waited {waited_s:.1f} s, predicted {wait_s:.1f} s more, patience of {service_class} {patience_s:g} s"
            )
            self._appeals.plead(journey.ticket, FallbackCause.PATIENCE, reason, patience_s)
        journey.appeal_at = now + max(ASK_AGAIN_S_MIN, patience_s)
        self._line.stay(journey, min(journey.give_up_at, journey.appeal_at))

    def _patience_s(self, service_class: ServiceClass) -> float:
        """How long a class may wait before it asks elsewhere; inf for as long as the line allows."""
        fallback = self._spec.fallback
        is_batch = service_class is ServiceClass.BATCH
        return (fallback.batch_patience_s if is_batch else fallback.patience_s) or inf
