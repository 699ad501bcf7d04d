"""The core alone, with many pools: what a request costs on a busy pool beside those that rest, what a look at all costs, who wakes."""

import gc
from collections.abc import Mapping, Sequence
from math import inf
from time import perf_counter

from toque.core.fleet import Fleet
from toque.core.snapshot import view_fleet
from toque.model.messages import Arrived, Finished, ReplicaReady, StartReplica, Woke
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec, ReplicaBounds
from toque.model.ticket import Ticket

REPLICAS = 5
REQUESTS, BATCHES = 2000, 10
REST_S = 600.0


def step(*, quick: bool) -> Sequence[Mapping[str, object]]:
    """One row a number of pools, each with five replicas."""
    gc.freeze()
    return [_measured(pools) for pools in ((10, 100) if quick else (10, 100, 1000))]


def _measured(pools: int) -> Mapping[str, object]:
    fleet = _ready(pools)
    steps = _steps_at_rest(fleet)
    request_us = _us_per_request(fleet)
    began = perf_counter()
    view_fleet(fleet, 1e6)
    return {
        "pools": pools,
        "replicas": pools * REPLICAS,
        "request_us": round(request_us, 2),
        "steps_at_rest_per_min": round(steps / (REST_S / 60), 2),
        "view_ms": round(1000 * (perf_counter() - began), 2),
    }


def _ready(pools: int) -> Fleet:
    specs = tuple(
        PoolSpec(f"m{number}", slots=4, replicas=ReplicaBounds(minimum_warm=REPLICAS, maximum=2 * REPLICAS))
        for number in range(pools)
    )
    fleet = Fleet(FleetSpec(specs, Resources()), now=0.0)
    for effect in fleet.handle(Woke(), 0.0):
        if isinstance(effect, StartReplica):
            fleet.handle(ReplicaReady(effect.replica_id), 0.0)
    return fleet


def _steps_at_rest(fleet: Fleet) -> int:
    """How often it wants to be woken while nobody asks anything, once it has come to rest."""
    now = _rested(fleet, 0.0)
    ends, steps = now + REST_S, 0
    while (now := fleet.next_wake()) < ends:
        fleet.handle(Woke(), now)
        steps += 1
    return steps


def _rested(fleet: Fleet, now: float) -> float:
    """Let windows and delays run out."""
    while fleet.next_wake() < now + REST_S:
        fleet.handle(Woke(), fleet.next_wake())
    return now + REST_S


def _us_per_request(fleet: Fleet) -> float:
    """One arrival and one end on the first pool, while all others rest; the fastest of several batches."""
    now, best_s, number = 10 * REST_S, inf, 0
    for _ in range(BATCHES):
        began = perf_counter()
        for _ in range(REQUESTS):
            now += 1e-3
            number += 1
            fleet.handle(Arrived(Ticket(number, "m0", inf)), now)
            fleet.handle(Finished(number), now)
        best_s = min(best_s, perf_counter() - began)
    return best_s / REQUESTS * 1e6
