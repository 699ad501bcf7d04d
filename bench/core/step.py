"""What the mind costs a request: microseconds of `Fleet.handle` for one arrival and one end, replicas x waiting.

python bench/core/step.py [--json FILE]   (about half a minute; the fastest of several batches counts)
"""

import argparse
import gc
import json
import platform
from math import inf
from pathlib import Path
from time import perf_counter

from toque.core.fleet import Fleet
from toque.model.messages import Arrived, Finished, ReplicaReady, StartReplica, Woke
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec, QueueSpec, ReplicaBounds
from toque.model.ticket import Ticket

REPLICAS = (1, 10, 100, 1000)
WAITING = (0, 10, 1000, 100_000)
SLOTS = 4
BATCH = 2000
BATCHES = 30


def warm_fleet(replicas: int) -> Fleet:
    """One pool with all its replicas ready."""
    pool = PoolSpec(
        "chat",
        slots=SLOTS,
        replicas=ReplicaBounds(minimum_warm=replicas, maximum=replicas),
        queue=QueueSpec(length_max=10**6, wait_s_max=10**6),
    )
    fleet = Fleet(FleetSpec((pool,), Resources()), now=0.0)
    for effect in fleet.handle(Woke(), 0.0):
        if isinstance(effect, StartReplica):
            fleet.handle(ReplicaReady(effect.replica_id), 0.0)
    return fleet


def us_per_request(replicas: int, waiting: int) -> float:
    """Time of one `Arrived` and one `Finished`, their making included. With 0 waiting the slots are half used."""
    fleet = warm_fleet(replicas)
    backlog = replicas * SLOTS + waiting if waiting else max(1, replicas * SLOTS // 2)
    for ticket in range(backlog):
        fleet.handle(Arrived(Ticket(ticket, "chat", inf)), 0.0)
    oldest, newest, now = 0, backlog, 1.0
    best_s = inf
    for _ in range(BATCHES):
        began = perf_counter()
        for _ in range(BATCH):
            now += 1e-4
            fleet.handle(Arrived(Ticket(newest, "chat", inf)), now)
            fleet.handle(Finished(oldest), now)
            newest += 1
            oldest += 1
        best_s = min(best_s, perf_counter() - began)
    return best_s / BATCH * 1e6


def main() -> None:
    """Print the table and, when asked, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    chosen = parser.parse_args()
    gc.freeze()
    print(f"us per request   {''.join(f'{waiting:>9} waiting' for waiting in WAITING)}")
    rows = []
    for replicas in REPLICAS:
        row = [round(us_per_request(replicas, waiting), 2) for waiting in WAITING]
        rows.append({"replicas": replicas, "us_by_waiting": dict(zip(map(str, WAITING), row, strict=True))})
        print(f"{replicas:>6} replicas  {''.join(f'{cost:>17.2f}' for cost in row)}")
    if chosen.json:
        told = {"python": platform.python_version(), "slots": SLOTS, "rows": rows}
        chosen.json.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
