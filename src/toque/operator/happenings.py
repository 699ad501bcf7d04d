"""Happenings: what of a pool a person should hear of as an Event: another number of replicas, a start that failed, a refused spec.

Law: pure. Each is told once, and of one pool only so many at a time: Events are kept by the cluster, and nobody reads a hundred.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

from toque.model.view import PoolView
from toque.operator.roll import Entry
from toque.operator.status import INVALID

Happening: TypeAlias = tuple[str, str, str]
"""Kind (Normal or Warning), reason in one word, message in a sentence."""
BURST_MAX = 10
"""Events of one pool that may follow at once."""
AGAIN_S = 60.0
"""After a burst, one in so long."""


@dataclass(slots=True)
class _Pool:
    wanted: int | None = None
    complaint: str = ""
    failure: str = ""
    waiting: list[Happening] = field(default_factory=list)
    allowed: float = float(BURST_MAX)
    looked_at: float | None = None


class Happenings:
    """By pool: what was told last, and what is to be told."""

    def __init__(self) -> None:
        self._pools: dict[str, _Pool] = {}

    def failed(self, pool: str, reason: str) -> None:
        """A replica failed; the same reason again is no news."""
        kept = self._pools.setdefault(pool, _Pool())
        if reason != kept.failure:
            kept.failure = reason
            kept.waiting.append(("Warning", "ReplicaFailed", reason))

    def look(self, entry: Entry, pool: PoolView | None, now: float) -> None:
        """Find out what is new of a pool: 1. it is not taken at its word, or is again; 2. there shall be another number."""
        kept = self._pools.setdefault(entry.name, _Pool())
        elapsed_s = now - kept.looked_at if kept.looked_at is not None else 0.0
        kept.looked_at = now
        kept.allowed = min(float(BURST_MAX), kept.allowed + elapsed_s / AGAIN_S)
        if entry.complaint != kept.complaint:  # 1
            kept.complaint = entry.complaint
            if entry.complaint:
                kept.waiting.append(("Warning", INVALID, entry.complaint))
        if pool is not None and pool.wanted != kept.wanted:  # 2
            before = entry.desired if kept.wanted is None else kept.wanted
            kept.wanted = pool.wanted
            if before != pool.wanted:
                kept.waiting.append(("Normal", "Scaled", f"{before} -> {pool.wanted}: {_why(pool)}"))

    @property
    def are_told(self) -> bool:
        """Whether nothing is to be told later."""
        return not any(kept.waiting for kept in self._pools.values())

    def due(self, pool: str, most: int) -> list[Happening]:
        """Return what may be told now, and forget it; what is beyond the bounds is forgotten too, the older first."""
        kept = self._pools[pool]
        kept.waiting = kept.waiting[-BURST_MAX:]
        count = max(0, min(len(kept.waiting), int(kept.allowed), most))
        told, kept.waiting = kept.waiting[:count], kept.waiting[count:]
        kept.allowed -= count
        return told


def _why(pool: PoolView) -> str:
    decision = pool.decision
    if decision is None or decision.allowed.replicas != pool.wanted:
        return "as many as there were" if pool.wanted > pool.minimum_warm else "the least that is kept warm"
    return decision.desired.reason if decision.desired.replicas == pool.wanted else decision.allowed.reason
