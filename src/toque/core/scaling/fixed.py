"""The fixed policy: always the same number. The honest baseline every autoscaler has to beat."""

from toque.core.policy import Policy
from toque.model.decision import Desired, Observation
from toque.model.spec import PoolSpec


class Fixed(Policy):
    """`target` replicas, or `minimum_warm` where no target is given."""

    interval_s = 10.0

    def __init__(self, spec: PoolSpec) -> None:
        self._replicas = round(spec.scaling.target) or spec.replicas.minimum_warm

    def desire(self, seen: Observation, now: float) -> Desired:
        """Want the fixed number, whatever is seen."""
        return Desired(self._replicas, f"fixed at {self._replicas}")
