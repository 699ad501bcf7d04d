"""Swapping: which replicas of other pools make room for a pool that lacks it.

Law: only idle replicas beyond their pool's minimum warm are missed, the one idle longest first. For a pool with requests
waiting and no replica at all any of them will do; for one that merely wants more, only those their own policy would give
up. Nothing is stopped unless that makes enough room.
"""

from collections.abc import Iterable, Iterator

from toque.core.pool import Pool
from toque.core.replica import Replica
from toque.model.resources import Resources
from toque.model.view import ReplicaState

LEAVING = frozenset({ReplicaState.DRAINING, ReplicaState.STOPPING})


def room_makers(needy: Pool, pools: Iterable[Pool], free: Resources) -> list[tuple[Pool, Replica]]:
    """Return the replicas to drain so that one more of `needy` fits; none when it fits soon anyway, or never."""
    everyone = list(pools)
    footprint = needy.supply.footprint
    room = free
    for replica in (r for pool in everyone for r in pool.supply.roster.replicas.values() if r.state in LEAVING):
        room = room.plus(replica.footprint)
    makers: list[tuple[Pool, Replica]] = []
    candidates = sorted(_missable(needy, everyone), key=lambda pair: pair[1].idle_since or 0.0)
    for pool, replica in candidates:
        if not footprint.shortage(room):
            return makers
        makers.append((pool, replica))
        room = room.plus(replica.footprint)
    return [] if footprint.shortage(room) else makers


def _missable(needy: Pool, pools: list[Pool]) -> Iterator[tuple[Pool, Replica]]:
    is_urgent = bool(needy.line) and not needy.supply.roster.live
    for pool in pools:
        if pool is needy or not pool.spec.elastic or pool.line:
            continue
        spare = pool.supply.roster.live - pool.spec.replicas.minimum_warm
        if not is_urgent:
            wanted = pool.decision.desired.replicas if pool.decision else pool.supply.roster.live
            spare = min(spare, pool.supply.roster.live - wanted)
        idle = [r for r in pool.supply.roster.in_state(ReplicaState.READY) if not r.in_flight]
        idle.sort(key=lambda r: r.idle_since or 0.0)
        for replica in idle[: max(0, spare)]:
            yield pool, replica
