"""What fallbacks have cost within the last hour, and what those under way are expected to cost.

Law: a fallback that costs is begun only while spent, reserved and its own estimate stay within the limit; so the limit is
overdrawn at most by what requests under way cost more than estimated. Memory is one number a minute.
"""

from collections import deque
from math import floor

from toque.model.fallback_spec import SpendingSpec
from toque.model.messages import Abandoned, Failed, Finished
from toque.model.spec import PoolSpec
from toque.model.ticket import FailureKind

SLICE_S = 60.0
SLICES = 60
"""The hour goes by in minutes: what was spent counts until its whole minute is an hour old."""
PROMPT_TOKENS_GUESS = 2000
OUTPUT_TOKENS_GUESS = 1000
"""A long turn of a conversation: what a request is taken to cost before any has ended."""

_WEIGHT = 0.1
_COSTLESS = frozenset({FailureKind.NOT_SENT, FailureKind.BUSY, FailureKind.DENIED, FailureKind.ERROR})
"""Failures for which nobody sends a bill."""


class Spending:
    """One for the fleet. `reserved`: by ticket, the pool that costs and the estimate."""

    __slots__ = ("_means", "_slices", "_spec", "reserved")

    def __init__(self, spec: SpendingSpec) -> None:
        self._spec = spec
        self._slices: deque[tuple[int, float]] = deque(maxlen=SLICES + 1)
        self._means: dict[str, float] = {}
        self.reserved: dict[int, tuple[PoolSpec, float]] = {}

    @property
    def limit(self) -> float:
        """What may be spent in an hour."""
        return self._spec.limit_per_hour

    def revise(self, spec: SpendingSpec) -> None:
        """Go on under another limit; what was spent stays spent."""
        self._spec = spec

    def spent(self, now: float) -> float:
        """Return what was spent within the hour before `now`."""
        oldest = floor(now / SLICE_S) - SLICES
        return sum(cost for minute, cost in self._slices if minute >= oldest)

    def affords(self, pool: PoolSpec, now: float) -> bool:
        """Whether one more request of this pool stays within the limit. While any of it is left, one at a time may go."""
        estimate = self._estimate(pool)
        if not estimate:
            return True
        spent = self.spent(now)
        if not self.reserved:
            return spent < self.limit
        return spent + sum(cost for _, cost in self.reserved.values()) + estimate <= self.limit

    def reserve(self, ticket_id: int, pool: PoolSpec) -> None:
        """Set an estimate aside for a ticket, if its new pool costs anything."""
        estimate = self._estimate(pool)
        if estimate:
            self.reserved[ticket_id] = (pool, estimate)

    def release(self, ticket_id: int) -> None:
        """The ticket goes no further in the pool it was reserved for."""
        self.reserved.pop(ticket_id, None)

    def charge(self, event: Finished | Failed | Abandoned, now: float, *, was_sent: bool) -> None:
        """Count what a request has cost, if it was one of those.

        1. It left before it was sent: nothing. 2. Finished: its tokens, or the estimate where the upstream told none.
        3. Failed before it began: perhaps the estimate, and it may be sent once more. 4. Left, or lost half-way: the estimate.
        """
        if event.ticket_id not in self.reserved:
            return
        pool, estimate = self.reserved[event.ticket_id]
        match event:
            case _ if not was_sent:  # 1
                self.release(event.ticket_id)
            case Finished(_, _, prompt_tokens, output_tokens):  # 2
                self.release(event.ticket_id)
                self._spend(pool, pool.price.cost(prompt_tokens, output_tokens) or estimate, now)
            case Failed(began=False):  # 3
                if event.kind not in _COSTLESS:
                    self._add(estimate, now)
            case _:  # 4
                self.release(event.ticket_id)
                self._add(estimate, now)

    def _estimate(self, pool: PoolSpec) -> float:
        guess = pool.price.cost(PROMPT_TOKENS_GUESS, OUTPUT_TOKENS_GUESS)
        return self._means.get(pool.name, guess) if guess else 0.0

    def _spend(self, pool: PoolSpec, cost: float, now: float) -> None:
        mean = self._means.get(pool.name, cost)
        self._means[pool.name] = mean + _WEIGHT * (cost - mean)
        self._add(cost, now)

    def _add(self, cost: float, now: float) -> None:
        minute = floor(now / SLICE_S)
        if self._slices and self._slices[-1][0] == minute:
            cost += self._slices.pop()[1]
        self._slices.append((minute, cost))
