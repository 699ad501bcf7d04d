"""What a policy is shown, with only what matters in a story spelled out."""

from toque.model.decision import Observation
from toque.model.spec import PoolSpec, ReplicaBounds, ScalingSpec


def sight(
    *,
    ready: int = 1,
    starting: int = 0,
    load: float = 0.0,
    waiting: int = 0,
    burst: float | None = None,
    arrivals_per_s: float = 0.0,
    cold_start_s: float = 0.0,
    waiting_s: float = 0.0,
) -> Observation:
    """`load` is the demand of both windows (unless `burst` differs), and what is in flight now."""
    return Observation(
        in_flight=int(load) - waiting,
        waiting=waiting,
        ready=ready,
        starting=starting,
        draining=0,
        demand_stable=load,
        demand_burst=load if burst is None else burst,
        arrivals_per_s=arrivals_per_s,
        slots=8,
        cold_start_s=cold_start_s,
        waiting_s=waiting_s,
    )


def pool(target: float = 0.0, slots: int = 8, maximum: int = 20) -> PoolSpec:
    bounds = ReplicaBounds(minimum_warm=0, maximum=maximum)
    return PoolSpec("chat", slots=slots, replicas=bounds, scaling=ScalingSpec("", target))
