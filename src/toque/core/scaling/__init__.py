"""How many replicas a pool wants. One policy a file, one table line."""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from toque.core.scaling.concurrency import Concurrency
from toque.core.scaling.fixed import Fixed
from toque.core.scaling.hpa import Hpa
from toque.core.scaling.keda import Keda
from toque.core.scaling.kpa import Kpa
from toque.core.scaling.queue_wait import QueueWait
from toque.core.scaling.rate import Rate
from toque.core.scaling.ray_serve import RayServe
from toque.model.messages import Desired, Observation
from toque.model.spec import PoolSpec


class Policy(Protocol):
    """Says how many replicas are wanted; knows no bounds, rates or delays (the guard does)."""

    interval_s: float
    """Seconds between two questions, unless the settings say otherwise."""

    def desire(self, seen: Observation, now: float) -> Desired:
        """Answer for what is seen; called at most once an interval."""
        ...


PolicyTable: TypeAlias = Mapping[str, Callable[[PoolSpec], Policy]]

POLICIES: PolicyTable = {
    "concurrency": Concurrency,
    "fixed": Fixed,
    "hpa": Hpa,
    "keda": Keda,
    "kpa": Kpa,
    "queue_wait": QueueWait,
    "rate": Rate,
    "ray_serve": RayServe,
}
