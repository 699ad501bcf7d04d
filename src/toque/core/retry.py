"""Whether a request that a replica lost may be tried once more.

Law: retries are bounded per request and, over the pool, by a share of the requests in flight, so that failing replicas
never see more than that much extra load. Only requests of which nothing was answered come here.
"""

from toque.core.journey import Journey
from toque.model.spec import RetrySpec
from toque.model.ticket import FailureKind

NOT_SENT_EXTRA = 2
"""Further attempts where the replica never saw the request: those cannot double any work."""
_IN_VAIN = frozenset({FailureKind.TIMEOUT, FailureKind.INVALID, FailureKind.DENIED, FailureKind.STRANGER})
"""What would end the same way, after as much work."""


class RetryBudget:
    """Counts the retried journeys that have not ended yet."""

    __slots__ = ("_live", "_spec")

    def __init__(self, spec: RetrySpec) -> None:
        self._spec = spec
        self._live: set[int] = set()

    def revise(self, spec: RetrySpec) -> None:
        """Go by other numbers; what is spent stays spent."""
        self._spec = spec

    def spend(self, journey: Journey, kind: FailureKind, in_flight: int) -> bool:
        """Allow one more attempt of this journey and remember it, or say no."""
        if kind in _IN_VAIN:
            return False
        limit = self._spec.attempts_max
        if kind is FailureKind.NOT_SENT and limit:
            limit += NOT_SENT_EXTRA
        if journey.retries >= limit:
            return False
        ticket_id = journey.ticket.id
        allowance = max(self._spec.budget_min, int(self._spec.budget_ratio * in_flight))
        if ticket_id not in self._live and len(self._live) >= allowance:
            return False
        self._live.add(ticket_id)
        journey.retries += 1
        return True

    def ended(self, journey: Journey) -> None:
        """Give the allowance of a journey back."""
        self._live.discard(journey.ticket.id)

    @property
    def live(self) -> int:
        """Retried journeys that have not ended."""
        return len(self._live)
