"""What several gateways meet in a simulation: their pool, their traffic, and what people felt at each.

Law: chance comes from seeded generators; the same play gives the same steps.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from toque.model.spec import PoolSpec
from toque.sim.arrival import Arrival
from toque.sim.histogram import Histogram
from toque.sim.replica import ReplicaFactory


@dataclass(frozen=True, slots=True)
class Play:
    """One pool, its gateways by name, how long a word is on its way, and how long a replica takes to start."""

    pool: PoolSpec
    gateways: tuple[str, ...]
    replica: ReplicaFactory
    delay_s: float = 0.002
    cold_start_s: float = 5.0
    patience_s: float = 600.0


@dataclass(slots=True)
class Felt:
    """What people at one gateway felt."""

    queue_wait: Histogram = field(default_factory=Histogram)
    served: int = 0
    refused: int = 0
    lost: int = 0


def dealt(arrivals: Iterable[Arrival], weights: Mapping[str, float], seed: int = 0) -> Iterator[tuple[str, Arrival]]:
    """Deal requests out to gateways by chance, each its part."""
    chance = random.Random(seed)  # noqa: S311 - reproducible on purpose
    names, parts = list(weights), list(weights.values())
    for arrival in arrivals:
        yield chance.choices(names, parts)[0], arrival


def poisson(rate_per_s: float, until_s: float, tokens: tuple[int, int], seed: int = 0) -> Iterator[Arrival]:
    """Requests that come by chance, with so many tokens in and about so many out."""
    chance = random.Random(seed)  # noqa: S311 - reproducible on purpose
    now = chance.expovariate(rate_per_s)
    while now < until_s:
        yield Arrival(now, tokens[0], 1 + int(chance.expovariate(1 / tokens[1])))
        now += chance.expovariate(rate_per_s)
