"""What must be true of a fleet after every step, checked in tests, simulations and replays.

Law: a broken invariant is a bug of ours, never of the input, so it raises AssertionError with what it found.
"""

from math import inf

from toque.core.breaker import RESTING
from toque.core.fleet import Fleet
from toque.core.journey import Journey
from toque.core.lifecycle import COMING
from toque.core.pool import Pool
from toque.model.condition import BreakerState
from toque.model.ticket import ServiceClass
from toque.model.view import ReplicaState

SERVING = frozenset({ReplicaState.READY, ReplicaState.DOUBTED})


def check_fleet(fleet: Fleet, now: float) -> None:
    """Check every pool, the shared budget, and that the next wake is known."""
    waiting: set[int] = set()
    for pool in fleet.pools.values():
        in_line = {journey.ticket.id for journey in pool.line.waiting()}
        waiting |= in_line
        journeys = [j for j in fleet.journeys.values() if j.ticket.pool == pool.spec.name]
        check_line(pool, journeys, in_line, now)
        check_batch(pool, journeys, now)
        check_breakers(pool, journeys)
        check_replicas(pool, journeys)
        assert fleet.next_wake() <= max(now, pool.next_wake()), f"{pool.spec.name} would oversleep"
        assert not (pool.spec.name in fleet.leaving and pool.line), (
            f"somebody waits in {pool.spec.name}, which is leaving"
        )
        assert not pool.supply.shortage or pool.spec.name in fleet.short, f"{pool.spec.name} would be offered no room"
    check_budget(fleet)
    check_lent(fleet)
    assert fleet.spending.reserved.keys() <= fleet.journeys.keys(), "money is set aside for a request that has ended"
    assert waiting <= fleet.journeys.keys(), "somebody waits whose request has ended"


def check_rest(fleet: Fleet) -> None:
    """Once every request has ended nothing of any is left, and only replicas that are there are known or paid for."""
    assert not fleet.journeys, f"{sorted(fleet.journeys)} never ended"
    assert not fleet.trials.live, "a request that has ended still tries something"
    replicas = {replica_id for pool in fleet.pools.values() for replica_id in pool.supply.roster.replicas}
    assert fleet.owned() == replicas, "a replica is known that is gone"
    assert fleet.budget.holders == replicas, "room is taken by a replica that is gone"
    for name, pool in fleet.pools.items():
        assert not pool.line, f"somebody still waits for {name}"
        assert pool.line.next_deadline() == inf, f"{name} waits for a deadline of nobody"
        assert not pool.retries.live, f"{name} counts a retry of nobody"
        assert not pool.supply.roster.in_flight, f"{name} counts a request of nobody"


def check_line(pool: Pool, journeys: list[Journey], in_line: set[int], now: float) -> None:
    """Bounded, and exactly those wait who have no replica; nobody waits beside a free slot."""
    for service_class in ServiceClass:
        put_back = pool.retries.live + sum(j.preemptions > 0 for j in pool.line.waiting())
        waiting = pool.line.length(service_class) + pool.line.held_back(service_class)
        assert waiting <= pool.spec.queue.length_max + put_back, "the line is longer than its bound"
    assert in_line == {j.ticket.id for j in journeys if j.replica_id is None}, "waiting and without a replica differ"
    people = pool.line.length(ServiceClass.INTERACTIVE)
    is_free = pool.supply.roster.choose(None) is not None
    is_held_back = any(pool.line.held_back(service_class) for service_class in ServiceClass)
    assert pool.admission.is_full or not is_held_back, "a large request is held back though there is room for it"
    assert not (is_free and people), "somebody waits while a slot is free"
    assert not (is_free and pool.line and pool.share.has_room()), "batch waits while it has room"
    assert not (people and pool.trust.is_outage(now)), "somebody waits while every breaker is open"
    assert pool.scaler.own_demand == len(journeys), "the load window lost count"
    deadline = pool.line.next_deadline()
    assert deadline <= min((min(j.give_up_at, j.due_at) for j in pool.line.waiting()), default=inf), (
        "a deadline would pass unseen"
    )


def check_batch(pool: Pool, journeys: list[Journey], now: float) -> None:
    """What batch holds is counted, and nobody who waits would be forgotten beside slots that it could give up."""
    held = {j.ticket.id for j in journeys if j.replica_id is not None and j.ticket.service_class is ServiceClass.BATCH}
    assert pool.share.in_flight.keys() == held, "slots of batch are miscounted"
    batch = sum(j.ticket.service_class is ServiceClass.BATCH for j in journeys)
    assert pool.scaler.batch == batch + pool.scaler.elsewhere.batch, "batch is miscounted"
    if pool.line.length(ServiceClass.INTERACTIVE) and pool.share.youngest(now, spares=False):
        latest = now + pool.spec.batch.preempt_patience_s
        assert pool.placing.next_at <= latest, "people wait beside batch longer than they have patience"


def check_replicas(pool: Pool, journeys: list[Journey]) -> None:
    """Slots, counts and bounds agree with what the replicas themselves say."""
    roster = pool.supply.roster
    replicas = list(roster.replicas.values())
    for replica in replicas:
        assert 0 <= replica.in_flight <= replica.slots, f"replica {replica.id} has {replica.in_flight} in flight"
        mine = sum(replica.id in {j.replica_id, j.second_id} for j in journeys)
        assert mine == replica.in_flight, f"replica {replica.id}: {mine} journeys, {replica.in_flight} slots taken"
    states = [replica.state for replica in replicas]
    assert roster.ready == states.count(ReplicaState.READY), "ready replicas are miscounted"
    assert roster.coming == sum(state in COMING for state in states), "coming replicas are miscounted"
    draining = [replica for replica in replicas if replica.state is ReplicaState.DRAINING]
    assert sorted(roster.draining) == [replica.id for replica in draining], "draining replicas are miscounted"
    assert all(r.drain_until >= pool.supply.next_at() for r in draining), "a grace would pass unseen"
    assert roster.in_flight == sum(r.in_flight for r in replicas), "requests in flight are miscounted"
    assert roster.slots == sum(r.slots for r in replicas if r.state in SERVING), "slots are miscounted"
    assert pool.supply.outdated.keys() <= roster.replicas.keys(), "an outdated replica is gone and not struck"
    most = inf if pool.spec.given else max(pool.spec.replicas.maximum, 1)
    assert pool.supply.current <= most, "more live replicas than the maximum"


def check_lent(fleet: Fleet) -> None:
    """No replica's slots are lent beyond their number, and every account says the same as its replicas."""
    for name, lender in fleet.lending.lenders.items():
        replicas = fleet.pools[name].supply.roster.replicas
        for replica in replicas.values():
            held = sum(account.held.get(replica.id, 0) for account in lender.accounts.values())
            assert held == replica.lent, f"replica {replica.id}: {held} slots in accounts, {replica.lent} lent"
            assert held <= replica.slots, f"replica {replica.id}: {held} of {replica.slots} slots are lent"
        for gateway, account in lender.accounts.items():
            mine = sum(n for replica_id, n in account.held.items() if replicas[replica_id].state is ReplicaState.READY)
            assert account.total <= mine, f"{gateway} seems to have more of {name} than it holds"
            assert all(count > 0 for count in account.held.values()), f"{gateway} holds nothing of a replica"
        loads = [account.load for account in lender.accounts.values()]
        total = lender.sum
        assert total.people == sum(load.in_flight + load.waiting for load in loads), f"people of {name} are miscounted"
        assert total.batch == sum(load.batch for load in loads), f"batch of {name} at gateways is miscounted"
        assert total.since == min((a.since for a in lender.accounts.values()), default=inf), "somebody waits longer"


def check_breakers(pool: Pool, journeys: list[Journey]) -> None:
    """Who is barred is off the shelf and will be tried again; half-open lets one through; not all are ejected."""
    roster = pool.supply.roster
    ready = [replica for replica in roster.replicas.values() if replica.state is ReplicaState.READY]
    assert roster.barred == sum(replica.is_barred for replica in ready), "barred replicas are miscounted"
    for replica in roster.replicas.values():
        breaker = replica.breaker
        assert replica.is_barred == breaker.is_barred, f"replica {replica.id}: router and breaker disagree"
        assert (breaker.state in RESTING) == (breaker.until < inf), f"replica {replica.id} would never be tried again"
        assert pool.trust.next_at <= breaker.until, f"replica {replica.id} would be tried too late"
        if breaker.probe is not None:
            assert breaker.state is BreakerState.HALF_OPEN, f"replica {replica.id} is probed without need"
            probe = [j for j in journeys if j.replica_id == replica.id and j.ticket.id == breaker.probe]
            assert len(probe) == 1, f"replica {replica.id} waits for a probe that has ended"


def check_budget(fleet: Fleet) -> None:
    """What is used is what the replicas take, and nothing was started into a full budget."""
    used = sum(r.footprint.memory_bytes for pool in fleet.pools.values() for r in pool.supply.roster.replicas.values())
    assert fleet.budget.used.memory_bytes == used, f"budget says {fleet.budget.used.memory_bytes} B, replicas {used} B"
