"""The load of each pool, told to endpoint pickers of the Gateway API: a gateway is a model server to them.

Law: names and meanings are those of `model/load.py`; of several models a picker chooses one by the label `model_name`.
"""

import time
from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from toque.model.load import ADAPTERS, CACHE, NO_ADAPTERS, QUEUED, RUNNING, Load
from toque.model.view import FleetView

_GAUGES: tuple[tuple[str, str, Callable[[Load], float]], ...] = (
    (RUNNING, "Requests in flight.", lambda load: load.running),
    (QUEUED, "Requests in the waiting line.", lambda load: load.queued),
    (CACHE, "Busy share of the slots of ready replicas (0 to 1).", lambda load: load.cache_ratio),
)


def pool_loads(view: FleetView) -> Iterator[Metric]:
    """Render it, at scrape."""
    for name, what, value_of in _GAUGES:
        family = GaugeMetricFamily(name, what, labels=("model_name",))
        for pool in view.pools:
            family.add_metric((pool.name,), value_of(pool.load))
        yield family
    adapters = GaugeMetricFamily(ADAPTERS, "Adapters; the value is when this was told.", labels=tuple(NO_ADAPTERS))
    adapters.add_metric(tuple(NO_ADAPTERS.values()), time.time())  # noqa: TID251 - a metric carries the wall clock
    yield adapters
