"""How many replicas a pool wants. One policy a file, one table line."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from toque.core.policy import Policy
from toque.core.scaling.concurrency import Concurrency
from toque.core.scaling.fixed import Fixed
from toque.core.scaling.hpa import Hpa
from toque.core.scaling.keda import Keda
from toque.core.scaling.kpa import Kpa
from toque.core.scaling.queue_wait import QueueWait
from toque.core.scaling.rate import Rate
from toque.core.scaling.ray_serve import RayServe
from toque.model.spec import PoolSpec

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
