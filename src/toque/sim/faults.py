"""How simulated replicas misbehave: they die, hang, are slow, or never come up.

Law: every fault is drawn from the scenario's generator; times between deaths and between hangs are exponential.
"""

import random
from dataclasses import dataclass
from math import inf

UNHEALTHY_AFTER_S = 6.0
"""A hung replica is given up after this: three health checks, two seconds apart, as the drivers do."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, per replica. The defaults are a sound world.

    `start_failure_ratio` of all starts fail after their cold start; `lifetime_s` is the mean time from ready to death,
    `hang_every_s` the mean time between two hangs of `hang_s`; `slow_ratio` of all replicas take `slow_factor` times as long.
    """

    start_failure_ratio: float = 0.0
    lifetime_s: float = inf
    hang_every_s: float = inf
    hang_s: float = 10.0
    slow_ratio: float = 0.0
    slow_factor: float = 2.0

    def start_fails(self, chance: random.Random) -> bool:
        """Whether one start fails."""
        return _happens(self.start_failure_ratio, chance)

    def death_s(self, chance: random.Random) -> float:
        """Seconds until a ready replica dies; inf: never."""
        return _exponential(self.lifetime_s, chance)

    def next_hang_s(self, chance: random.Random) -> float:
        """Seconds until a running replica hangs; inf: never."""
        return _exponential(self.hang_every_s, chance)

    def pace(self, chance: random.Random) -> float:
        """Speed of one replica; 1 is what its profile says."""
        return 1 / self.slow_factor if _happens(self.slow_ratio, chance) else 1.0


def _happens(ratio: float, chance: random.Random) -> bool:
    return ratio > 0 and chance.random() < ratio


def _exponential(mean_s: float, chance: random.Random) -> float:
    return inf if mean_s == inf else chance.expovariate(1 / mean_s)
