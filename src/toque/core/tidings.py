"""Tidings: what a driver says of a replica, told to its pool.

Law: every kind of word is taken here, each by the part of the pool that it concerns.
"""

from typing import assert_never

from toque.core.pool import Pool
from toque.core.replica import Replica
from toque.model.cluster import ReplicaDelayed
from toque.model.messages import (
    Effect,
    ReplicaEvent,
    ReplicaFailed,
    ReplicaHealthy,
    ReplicaLoaded,
    ReplicaReady,
    ReplicaSpawned,
    ReplicaStopped,
    ReplicaUnreachable,
)


def tell(pool: Pool, replica: Replica, event: ReplicaEvent, now: float, out: list[Effect]) -> bool:
    """Tell a pool what became of its replica; returns whether nothing is left of that."""
    match event:
        case ReplicaSpawned() | ReplicaLoaded() | ReplicaDelayed():
            pool.supply.roster.advance(replica, event, now)
        case ReplicaReady():
            pool.replica_ready(replica, event, now)
        case ReplicaHealthy():
            pool.supply.cleared(replica, now, out)
        case ReplicaUnreachable():
            pool.trust.unreachable(replica, event.reason, now, out)
        case ReplicaFailed():
            pool.replica_failed(replica, event, now, out)
            return True
        case ReplicaStopped():
            pool.gone(replica)
            return True
        case _:
            assert_never(event)
    return False
