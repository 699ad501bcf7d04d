"""Given replicas: those of a gateway, of which its controller lends it slots.

Law: a slot that is lent is filled or free here until it is given back, and it is given back only free. Which replicas there are,
and how many, the controller says; which of their free slots go back first is said here.
"""

from collections import Counter
from collections.abc import Mapping
from math import inf
from typing import assert_never

from toque.core.lifecycle import LIVE
from toque.core.pool import Pool
from toque.core.replica import Replica
from toque.model.cluster import (
    FromController,
    PoolLoad,
    ProspectTold,
    ReplicaOffered,
    ReplicaWithdrawn,
    ReturnSlots,
    SlotsCapped,
    SlotsGranted,
)
from toque.model.messages import Effect
from toque.model.ticket import ServiceClass
from toque.model.view import ReplicaState


def heed(
    event: FromController, owners: dict[int, Pool], pools: Mapping[str, Pool], now: float, out: list[Effect]
) -> Pool | None:
    """Take what the controller says; returns the pool that it was about. A late word about what is gone is no word."""
    if isinstance(event, ReplicaOffered | SlotsCapped | ProspectTold):
        pool = pools.get(event.pool)
    else:
        pool = owners.get(event.replica_id)
    if pool is not None:
        if isinstance(event, ReplicaOffered):
            owners[event.replica_id] = pool
        _hear(pool, event, now, out)
    elif isinstance(event, SlotsGranted):
        out.append(ReturnSlots(event.replica_id, event.count))
    return pool


def _hear(pool: Pool, event: FromController, now: float, out: list[Effect]) -> None:
    roster = pool.supply.roster
    match event:
        case ReplicaOffered(_, replica_id):
            pool.supply.offered(replica_id, now)
        case ReplicaWithdrawn(replica_id):
            if roster.replicas[replica_id].state in LIVE:
                pool.supply.drain(roster.replicas[replica_id], now, out, "the controller withdrew it")
        case SlotsGranted(replica_id, count):
            _grant(pool, roster.replicas[replica_id], count, now, out)
        case SlotsCapped():
            _cap(pool, event, now, out)
        case ProspectTold(_, reason):
            pool.exits.outlook.verdict = reason
            if reason is not None and not roster.live:
                pool.refuse_all(reason, now, out)
        case _:
            assert_never(event)


def _grant(pool: Pool, replica: Replica, count: int, now: float, out: list[Effect]) -> None:
    """Fill slots that were lent; those of a replica that was withdrawn meanwhile go back."""
    if replica.state is ReplicaState.DRAINING:
        out.append(ReturnSlots(replica.id, count))
        return
    pool.supply.roster.widen(replica, count)
    _give_back(pool, out)
    pool.place(now, out)


def _cap(pool: Pool, event: SlotsCapped, now: float, out: list[Effect]) -> None:
    """Keep so many slots: free ones go back now, batch gives its own up for people elsewhere, others as they get free."""
    roster = pool.supply.roster
    roster.most = inf if event.most is None else event.most
    roster.is_missed = event.for_people
    _give_back(pool, out)
    if event.for_people:
        pool.placing.hurry(now)


def _give_back(pool: Pool, out: list[Effect]) -> None:
    """Return free slots beyond what may stay, of replicas with the most slots here first: few of each of many serve best."""
    roster = pool.supply.roster
    if roster.slots <= roster.most:
        return
    free = [replica for replica in roster.replicas.values() if replica.slots > replica.in_flight]
    free.sort(key=lambda replica: (not replica.is_barred, -replica.slots, replica.id))
    counts: Counter[int] = Counter()
    while free and roster.slots > roster.most:
        for replica in free[: int(roster.slots - roster.most)]:
            roster.widen(replica, -1)
            counts[replica.id] += 1
        free = [replica for replica in free if replica.slots > replica.in_flight]
    out.extend(ReturnSlots(replica_id, count) for replica_id, count in counts.items())


def loads_of(pools: Mapping[str, Pool], arrivals: Mapping[str, int], now: float) -> dict[str, PoolLoad]:
    """Say what a controller must know of pools, of which it was last told when so many people had arrived at each."""
    return {name: load_of(pool, arrivals.get(name, 0), now) for name, pool in pools.items() if pool.spec.given}


def held_of(pools: Mapping[str, Pool]) -> dict[int, int]:
    """Count all slots that were lent and not given back, by replica."""
    replicas = (replica for pool in pools.values() for replica in pool.supply.roster.replicas.values())
    return {replica.id: replica.slots for replica in replicas if replica.slots}


def load_of(pool: Pool, arrivals: int, now: float) -> PoolLoad:
    """Say what a controller must know of a pool, of which it was last told when so many people had arrived."""
    roster, line, share = pool.supply.roster, pool.line, pool.share
    idle = (r for r in roster.replicas.values() if r.state in LIVE and not r.is_routable)
    return PoolLoad(
        in_flight=roster.in_flight - len(share.in_flight),
        waiting=line.people,
        waiting_s=round(line.oldest_wait_s(ServiceClass.INTERACTIVE, now), 3),
        batch=pool.scaler.batch,
        batch_in_flight=len(share.in_flight),
        arrivals=pool.scaler.people - arrivals,
        useless=sum(r.slots for r in idle) if roster.barred or roster.doubted else 0,
    )
