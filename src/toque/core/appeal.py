"""Appeals: what becomes of a ticket that its pool refuses, or makes wait longer than its class is patient.

Law: every refusal of a pool passes here. A ticket that has fallbacks left appeals, and the fleet hears all appeals before
the step is over; one that has none is refused at once.
"""

from collections import deque
from collections.abc import Mapping
from math import inf

from toque.core.spending import Spending
from toque.model.messages import Effect, Refuse
from toque.model.ticket import FallbackCause, RefusalReason, Ticket
from toque.model.value import value

CAUSES: Mapping[RefusalReason, FallbackCause] = {
    RefusalReason.UPSTREAM_LOST: FallbackCause.FAILURE,
    RefusalReason.NO_HEALTHY_REPLICA: FallbackCause.FAILURE,
    RefusalReason.MODEL_LOADING: FallbackCause.FAILURE,
    RefusalReason.QUEUE_FULL: FallbackCause.OVERLOAD,
    RefusalReason.RATE_LIMITED: FallbackCause.OVERLOAD,
    RefusalReason.QUEUE_TIMEOUT: FallbackCause.OVERLOAD,
    RefusalReason.NO_CAPACITY: FallbackCause.OVERLOAD,
}
"""Refusals after which another model may answer. All others would be the same there."""


@value
class Appeal:
    """A ticket that asks for another pool, and why.

    `refusal` is what it gets where there is none; None: it waits on. Another pool must not let it wait longer than `wait_s_max`.
    """

    ticket: Ticket
    cause: FallbackCause
    reason: str
    refusal: Refuse | None = None
    wait_s_max: float = inf


class Appeals:
    """Those not heard yet."""

    __slots__ = ("pending", "spending")

    def __init__(self, spending: Spending) -> None:
        self.spending = spending
        self.pending: deque[Appeal] = deque()

    def refuse(
        self, ticket: Ticket, reason: RefusalReason, retry_after_s: float, now: float, out: list[Effect]
    ) -> None:
        """Let a ticket that has ended in its pool appeal where it can, or refuse it."""
        self.spending.release(ticket.id)
        refusal = Refuse(ticket.id, reason, retry_after_s)
        cause = CAUSES.get(reason)
        if cause is None or not ticket.fallbacks or ticket.deadline <= now:
            out.append(refusal)
        else:
            self.pending.append(Appeal(ticket, cause, reason.value, refusal))

    def plead(self, ticket: Ticket, cause: FallbackCause, reason: str, wait_s_max: float) -> None:
        """Let a ticket that waits ask whether somebody else is sooner."""
        self.pending.append(Appeal(ticket, cause, reason, None, wait_s_max))
