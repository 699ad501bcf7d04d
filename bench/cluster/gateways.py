"""What several gateways cost beside one, in the simulator: `./dev run python bench/cluster/gateways.py`.

The same requests at 1, 3 and 8 gateways, evenly or 90 % at one of them, over few and over many slots, calm, busy and nearly
full. Prints a table in Markdown; the words on the wire take 2 ms each way.
"""

from collections.abc import Mapping
from itertools import product

from toque.model.spec import PoolSpec, QueueSpec, ReplicaBounds
from toque.sim.alliance import Play, dealt, poisson
from toque.sim.gateways import World
from toque.sim.histogram import Histogram
from toque.sim.slots import SlotsProfile

PROFILE = SlotsProfile(slots=8, base_s=0.05, decode_token_s=0.02, decode_token_s_per_busy_slot=0.0025)
SECONDS = 1200.0
FLEETS = {"8 slots (2 replicas of 4)": (2, 4), "24 slots (6 of 4)": (6, 4), "128 slots (16 of 8)": (16, 8)}
LOADS = {"half": 0.5, "busy": 0.8, "nearly full": 0.95}
TRAFFIC: Mapping[str, tuple[float, ...]] = {
    "1": (1,),
    "3, evenly": (1, 1, 1),
    "3, 90/5/5": (90, 5, 5),
    "8, evenly": (1,) * 8,
    "8, 90 % at one": (90, *(10 / 7,) * 7),
}


def run(replicas: int, slots: int, load: float, weights: tuple[float, ...]) -> str:
    """Play one case; return the rest of its row."""
    service_s = PROFILE.base_s + 50 * PROFILE.token_s(slots)
    rate = load * replicas * slots / service_s
    bounds = ReplicaBounds(minimum_warm=replicas, maximum=replicas)
    pool = PoolSpec("chat", slots=slots, replicas=bounds, queue=QueueSpec(length_max=5000, wait_s_max=600.0))
    names = tuple(f"gateway-{number}" for number in range(len(weights)))
    world = World(Play(pool, names, PROFILE.replica, cold_start_s=0.0))
    arrivals = poisson(rate, SECONDS, (0, 50))
    world.run(dealt(arrivals, dict(zip(names, weights, strict=True))))
    total = Histogram()
    for felt in world.felt.values():
        total.merge(felt.queue_wait)
    quiet = max(felt.queue_wait.quantile(0.99) for felt in world.felt.values())
    words = sum(gateway.link.words for gateway in world.gateways.values())
    waits = f"{total.quantile(0.5):.2f} | {total.quantile(0.99):.2f} | {quiet:.2f} | {total.mean_s:.3f}"
    return f"{waits} | {world.utilization:.0%} | {words / SECONDS / len(names):.1f}"


def main() -> None:
    """Print the table."""
    print(
        "| slots | load | gateways | wait p50 s | p99 s | p99 of the worst gateway s | mean s | busy | words/s a gateway |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for (fleet, (replicas, slots)), (named, load), (who, weights) in product(
        FLEETS.items(), LOADS.items(), TRAFFIC.items()
    ):
        print(f"| {fleet} | {named} | {who} | {run(replicas, slots, load, weights)} |", flush=True)


if __name__ == "__main__":
    main()
