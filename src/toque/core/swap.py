"""Swapping: which replicas of other pools make room for a pool that lacks it.

Law: only idle replicas beyond their pool's minimum warm are missed, the one idle longest first. For a pool with requests
waiting and no replica at all any of them will do; for one that merely wants more, only those their own policy would give
up, and never a pool's last; none of a pool that is being renewed. Nothing is stopped unless that makes enough room. Where people
wait, replicas that have nothing but batch that can be put back are missed too; where only batch does, none that just served.
"""

from collections.abc import Iterable, Iterator

from toque.core.budget import Budget
from toque.core.pool import Pool
from toque.core.replica import Replica
from toque.model.messages import Effect
from toque.model.ticket import ServiceClass
from toque.model.view import ReplicaState

LEAVING = frozenset({ReplicaState.DRAINING, ReplicaState.STOPPING})


def room_makers(needy: Pool, pools: Iterable[Pool], budget: Budget, now: float) -> list[tuple[Pool, Replica]]:
    """Return the replicas to drain so that one more of `needy` fits; none when it fits soon anyway, or never."""
    everyone = list(pools)
    missable = sorted(_missable(needy, everyone, now), key=lambda pair: _missed_least(pair[1]))
    if not missable:
        return []
    used = budget.used
    for replica in (r for pool in everyone for r in pool.supply.roster.replicas.values() if r.state in LEAVING):
        used = used.minus(replica.footprint)
    makers: list[tuple[Pool, Replica]] = []
    footprint = needy.supply.footprint
    for pool, replica in missable:
        if not footprint.shortage(budget.capacity.minus(used)):
            break
        makers.append((pool, replica))
        used = used.minus(replica.footprint)
    return [] if footprint.shortage(budget.capacity.minus(used)) else makers


def give_up(pool: Pool, replica: Replica, reason: str, now: float, out: list[Effect]) -> None:
    """Let a replica go that is idle, or has nothing but batch: that is put back."""
    pool.placing.clear_all(replica, now, out)
    pool.supply.target = min(pool.supply.target, pool.supply.roster.live - 1)
    pool.supply.drain(replica, now, out, reason)
    pool.place(now, out)


def is_hopeless(needy: Pool, pools: Iterable[Pool], budget: Budget) -> bool:
    """Whether not even one replica fits beside what the other pools always keep warm: then nobody should wait for it."""
    room = budget.capacity
    for pool in pools:
        kept = pool.spec.replicas.minimum_warm if pool is not needy else 0
        for _ in range(min(kept, pool.supply.roster.live)):
            room = room.minus(pool.supply.footprint)
    return bool(needy.supply.footprint.shortage(room))


def is_waited_for(pool: Pool) -> bool:
    """Whether anybody waits for a pool, here or at a gateway."""
    return bool(pool.line) or pool.scaler.elsewhere.waits


def _people(pool: Pool) -> int:
    return pool.line.length(ServiceClass.INTERACTIVE) + pool.scaler.elsewhere.waiting


def _missed_least(replica: Replica) -> tuple[bool, float]:
    return replica.in_flight > 0, replica.idle_since or 0.0


def _missable(needy: Pool, pools: list[Pool], now: float) -> Iterator[tuple[Pool, Replica]]:
    is_urgent = is_waited_for(needy) and not needy.supply.roster.live
    people = is_urgent and _people(needy) > 0
    idle_before = now - needy.spec.queue.ageing_s if is_urgent and not people else now
    for pool in pools:
        is_needed = _people(pool) > 0 if people else is_waited_for(pool)
        if pool is needy or not pool.spec.elastic or is_needed or pool.supply.outdated:
            continue
        spare = pool.supply.roster.live - _kept(pool, is_urgent=is_urgent)
        if spare > 0:
            ready = pool.supply.roster.in_state(ReplicaState.READY)
            is_busy = pool.scaler.elsewhere.is_busy
            idle = [r for r in ready if not r.in_flight and not is_busy and (r.idle_since or 0.0) <= idle_before]
            beside = [r for r in ready if people and r.in_flight and len(pool.share.yielding(r.id)) == r.in_flight]
            yield from ((pool, replica) for replica in sorted(idle + beside, key=_missed_least)[:spare])


def _kept(pool: Pool, *, is_urgent: bool) -> int:
    """How many replicas a pool keeps."""
    if is_urgent:
        return pool.spec.replicas.minimum_warm
    wanted = pool.decision.desired.replicas if pool.decision else pool.supply.roster.live
    return max(pool.spec.replicas.bounded(wanted), 1)
