"""The classic rate rule: requests a second per replica against a target, judged once an interval.

Law: above the target one replica more, below half of it one less, else stable. The band between half and whole is what
keeps the rule from swinging: after one step down the rate per replica at most doubles.
"""

from toque.core.policy import Policy
from toque.model.decision import Desired, Observation
from toque.model.spec import PoolSpec

TARGET_PER_S = 1.0


class Rate(Policy):
    """Steps of one replica. The rate is that of the last interval (`Observation.arrivals_per_s`)."""

    interval_s = 5.0

    def __init__(self, spec: PoolSpec) -> None:
        self._target = spec.scaling.target or TARGET_PER_S

    def desire(self, seen: Observation, now: float) -> Desired:
        """Compare and step; a pool without replicas wants one while anybody waits."""
        size = seen.ready + seen.starting
        if not size:
            return Desired(1, "a request waits") if seen.waiting else Desired(0, "no replicas, and nobody asks")
        rate = seen.arrivals_per_s / size
        told = f"{rate:.2f} requests/s per replica against a target of {self._target:g}"
        if rate > self._target:
            return Desired(size + 1, f"scaling up: {told}")
        if rate < self._target / 2:
            return Desired(size - 1, f"scaling down: {told}")
        return Desired(size, f"stable: {told}")
