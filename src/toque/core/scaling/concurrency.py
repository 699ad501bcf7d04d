"""The concurrency policy: enough replicas that each has about `target` requests in flight.

Law: demand is in flight + waiting, averaged over a long (stable) and a short (burst) window. The larger average decides, so
a burst adds replicas at once and only a calm that lasted through the stable window takes them away (the idea of Knative's
two windows). An empty pool is started by a request, never by the memory of load.
"""

from math import ceil

from toque.core.policy import Policy
from toque.model.decision import Desired, Observation
from toque.model.spec import PoolSpec

TARGET_UTILIZATION = 0.7
"""Share of a replica's slots wanted in use when no target is given; Knative's default leaves the same headroom."""

NOISE = 1e-9
"""Averages are sums of floats; without this a demand of exactly two replicas could ask for three."""


class Concurrency(Policy):
    """Demand divided by the target, rounded up."""

    interval_s = 2.0

    def __init__(self, spec: PoolSpec) -> None:
        self._target = spec.scaling.target or max(1.0, TARGET_UTILIZATION * spec.slots)

    def desire(self, seen: Observation, now: float) -> Desired:
        """Want the larger of what both windows ask for."""
        if not (seen.ready or seen.starting or seen.in_flight or seen.waiting):
            return Desired(0, "no replicas, and nobody asks")
        demand, window = max((seen.demand_stable, "stable"), (seen.demand_burst, "burst"))
        wanted = ceil(demand / self._target - NOISE)
        return Desired(
            wanted, f"{demand:.2f} requests in flight or waiting ({window} window), {self._target:g} wanted per replica"
        )
