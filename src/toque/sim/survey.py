"""A survey: a workload read once before anything is simulated, so that what is wrong with it is told at once."""

from dataclasses import dataclass

from toque.model.errors import ConfigError
from toque.sim.workload.named import Workload


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found. `span_s` is the time of the last arrival."""

    requests: int
    span_s: float


def survey(workload: Workload) -> Survey:
    """Read a workload to its end. Raises `ConfigError` for what cannot be simulated."""
    requests, span_s = 0, 0.0
    for arrival in workload.start():
        requests += 1
        span_s = arrival.at
    if not requests:
        raise ConfigError(f"{workload.name} has no requests", fix="raise its rate or duration, or cut less of it away")
    return Survey(requests, span_s)
