"""Kubernetes' HorizontalPodAutoscaler on the average number of requests per replica.

The load is in flight + waiting over the burst window (a metrics pipeline averages too: 15 s is usual). The rule and its
defaults are in `core/hpa_rule.py`. For a faithful picture let the guard be wide: scale_down_delay_s = 0 and large steps.
"""

from toque.core.hpa_rule import INTERVAL_S, HpaRule
from toque.core.policy import Policy
from toque.model.decision import Desired, Observation
from toque.model.spec import PoolSpec

TARGET_UTILIZATION = 0.7


class Hpa(Policy):
    """`target` requests per replica; 70 % of the slots when none is given."""

    interval_s = INTERVAL_S

    def __init__(self, spec: PoolSpec) -> None:
        self._target = spec.scaling.target or max(1.0, TARGET_UTILIZATION * spec.slots)
        self._rule = HpaRule(self._target)

    @property
    def holds_back(self) -> bool:
        """While its window remembers a higher recommendation."""
        return self._rule.holds_back

    def desire(self, seen: Observation, now: float) -> Desired:
        """Ask the rule; it never goes to zero and cannot leave zero, so that is left to the first request."""
        wanted = self._rule.by_replicas(seen.demand_burst, seen.ready, seen.starting, now)
        return Desired(wanted, f"HPA: {seen.demand_burst:.2f} requests, {self._target:g} wanted per replica")
