"""Ten tenants of unequal appetite before one replica, in the simulator: who is served how many tokens, and Jain's index of it.

python bench/isolation/fairness.py   (some seconds; the same figures every time)

The tenant i asks i times as often as the first, whose requests alone are more than a tenth of the capacity; so a fair line
serves all ten the same. The same traffic under one name shows a line that is first come, first served.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from toque.model.messages import Effect, Event
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec, QueueSpec, ReplicaBounds, ScalingSpec
from toque.sim.arrival import Arrival
from toque.sim.cold_start import constant
from toque.sim.engine import Request, Scenario, Simulation
from toque.sim.slots import SlotsProfile

TENANTS = 10
SLOTS = 8
LASTS_S = 3600.0
PROMPT_TOKENS, OUTPUT_TOKENS = 100, 200
PROFILE = SlotsProfile(slots=SLOTS, base_s=1.0)
"""Every request takes a second, so the capacity is 8 requests a second."""
FIRST_PER_S = 1.2 * SLOTS / TENANTS


class Served:
    """Counts the tokens of each stream of requests."""

    def __init__(self) -> None:
        self.tokens: Counter[int] = Counter()

    def step(self, now: float, event: Event, effects: list[Effect]) -> None:
        """Nothing is learnt from single steps."""

    def ended(self, request: Request, now: float) -> None:
        """Count one that was served in time. The length of its prompt tells its stream."""
        if not request.refused and now <= LASTS_S:
            stream = request.arrival.prompt_tokens - PROMPT_TOKENS
            self.tokens[stream] += request.arrival.prompt_tokens + request.arrival.output_tokens


def arrivals() -> Iterator[Arrival]:
    """All streams side by side; chance is seeded."""
    chance = random.Random(0)
    weights = range(1, TENANTS + 1)
    at = 0.0
    while (at := at + chance.expovariate(FIRST_PER_S * sum(weights))) < LASTS_S:
        stream = chance.choices(range(TENANTS), weights)[0]
        yield Arrival(at, PROMPT_TOKENS + stream, OUTPUT_TOKENS, f"tenant-{stream}")


def serve(requests: Iterator[Arrival]) -> list[int]:
    """Return the tokens that each stream was served within the time."""
    bounds = ReplicaBounds(minimum_warm=1, maximum=1)
    pool = PoolSpec("model", slots=SLOTS, queue=QueueSpec(), replicas=bounds, scaling=ScalingSpec("fixed"))
    scenario = Scenario(FleetSpec((pool,), Resources()), requests, PROFILE.replica, constant(0.0), patience_s=60.0)
    served = Served()
    Simulation(scenario, [served]).run()
    return [served.tokens[stream] for stream in range(TENANTS)]


def jain(amounts: Sequence[float]) -> float:
    """Jain's index: 1 when all are equal, 1/n when one has all (Jain, Chiu and Hawe, 1984)."""
    return sum(amounts) ** 2 / (len(amounts) * sum(amount * amount for amount in amounts))


def main() -> None:
    """Print a line for each stream, and the index of both lines."""
    fair = serve(arrivals())
    plain = serve(replace(arrival, tenant="") for arrival in arrivals())
    print("appetite   tokens served, by tenants   first come, first served")
    for stream in range(TENANTS):
        print(f"{stream + 1:>8}   {fair[stream]:>25,}   {plain[stream]:>24,}")
    print(f"{'Jain':>8}   {jain(fair):>25.4f}   {jain(plain):>24.4f}")


if __name__ == "__main__":
    main()
