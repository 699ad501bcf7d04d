"""Whether a request that a replica failed may be tried once more, and when.

Law: retries are bounded per request, by a share of the requests in flight and by a share of those that came, so that failing
replicas never see more than that much extra load. Only requests of which nothing was answered come here.
"""

from toque.core.jitter import share
from toque.core.journey import Journey
from toque.core.replica import Replica
from toque.core.roster import Roster
from toque.model.spec import RetrySpec
from toque.model.ticket import FailureKind

NOT_SENT_EXTRA = 2
"""Further attempts where the replica never saw the request: those cannot double any work."""
SAVED_TIMES = 10
"""So many times `budget_min` can be saved up while nothing fails, for the death of a replica with many requests."""
IN_VAIN = frozenset({FailureKind.TIMEOUT, FailureKind.INVALID, FailureKind.DENIED, FailureKind.STRANGER})
"""What would end the same way, after as much work."""
OVERLOAD = frozenset({FailureKind.ERROR, FailureKind.BUSY})
"""Failures that may come of too much load: what is tried again at once makes it worse."""


class RetryBudget:
    """Counts the retried journeys that have not ended yet, and what requests have earned since the last retry."""

    __slots__ = ("_arrivals", "_live", "_roster", "_saved", "_spec")

    def __init__(self, spec: RetrySpec, roster: Roster) -> None:
        self._spec = spec
        self._roster = roster
        self._live: set[int] = set()
        self._saved = float(spec.budget_min)
        self._arrivals = 0

    def revise(self, spec: RetrySpec) -> None:
        """Go by other numbers; what is spent stays spent."""
        self._spec = spec

    def spend(self, journey: Journey, kind: FailureKind, replica: Replica | None, arrivals: int) -> bool:
        """Allow one more attempt of this journey and remember it, or say no.

        1. It would be in vain, or go to the busy replica again. 2. The request has had its share. 3. Too many retries are
        under way. 4. Too many were made of late; one that reached no replica is free. `arrivals`: requests so far.
        """
        if kind in IN_VAIN or (kind is FailureKind.BUSY and not self._has_other(replica)):  # 1
            return False
        is_free = kind is FailureKind.NOT_SENT
        if journey.retries >= self._spec.attempts_max + (
            NOT_SENT_EXTRA if is_free and self._spec.attempts_max else 0
        ):  # 2
            return False
        allowance = max(self._spec.budget_min, int(self._spec.budget_ratio * self._roster.in_flight))
        if journey.ticket.id not in self._live and len(self._live) >= allowance:  # 3
            return False
        if not is_free and not self._pay(arrivals):  # 4
            return False
        self._live.add(journey.ticket.id)
        journey.retries += 1
        return True

    def rest_s(self, journey: Journey, kind: FailureKind) -> float:
        """How long it rests first: not at all where a replica was lost, else the back-off give or take half of it."""
        return self._spec.backoff_s * (0.5 + share(journey.ticket.id)) if kind in OVERLOAD else 0.0

    def ended(self, journey: Journey) -> None:
        """Give the allowance of a journey back."""
        self._live.discard(journey.ticket.id)

    @property
    def live(self) -> int:
        """Retried journeys that have not ended."""
        return len(self._live)

    def _has_other(self, replica: Replica | None) -> bool:
        """Whether another replica takes requests."""
        itself = replica is not None and replica.is_routable
        return self._roster.ready - self._roster.barred > itself

    def _pay(self, arrivals: int) -> bool:
        """Take one retry from what was saved, after adding what the requests since the last time have earned."""
        earned = self._spec.budget_ratio * (arrivals - self._arrivals)
        self._arrivals = arrivals
        self._saved = min(self._saved + earned, float(max(1, SAVED_TIMES * self._spec.budget_min)))
        if self._saved < 1:
            return False
        self._saved -= 1
        return True
