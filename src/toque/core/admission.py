"""Admission by cost: large requests hold only so many tokens at once, so that short ones find slots beside them.

Law: a request is large if it is predicted to take more than a slot's part of the bound, counted without one slot. Large ones
enter while those that are in are below the bound; so, on average over the replicas that are ready, one slot of each is never
theirs. Whoever is in stays in until its end, and one may always enter, however large.
"""

from toque.core.roster import Roster
from toque.model.spec import PoolSpec


class Admission:
    """That of one pool."""

    __slots__ = ("_admitted", "_bound_tokens", "_roster", "_slot_tokens", "_tokens", "is_bounded")

    def __init__(self, spec: PoolSpec, roster: Roster) -> None:
        self._roster = roster
        self._admitted: dict[int, int] = {}
        self._tokens = 0
        self.revise(spec)

    def revise(self, spec: PoolSpec) -> None:
        """Go by another bound; who is in stays in."""
        self._bound_tokens = spec.queue.large_tokens_max
        self._slot_tokens = self._bound_tokens / max(1, spec.slots - 1)
        self.is_bounded = self._bound_tokens > 0

    @property
    def is_full(self) -> bool:
        """Whether no large one may enter now."""
        return self.is_bounded and self._tokens >= self._bound_tokens * max(1, self._roster.ready)

    def holds_back(self, cost_tokens: int) -> bool:
        """Whether one that is predicted to take so many tokens must not enter now."""
        return self.is_bounded and cost_tokens > self._slot_tokens and self.is_full

    def enter(self, ticket_id: int, cost_tokens: int) -> None:
        """Count one that is in the line or in flight from now on, if it is large."""
        if self.is_bounded and cost_tokens > self._slot_tokens:
            self._admitted[ticket_id] = cost_tokens
            self._tokens += cost_tokens

    def leave(self, ticket_id: int) -> bool:
        """Forget one that has ended; returns whether that made room."""
        cost_tokens = self._admitted.pop(ticket_id, 0)
        self._tokens -= cost_tokens
        return cost_tokens > 0
