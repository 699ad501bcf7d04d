"""One scaling decision: what was seen, what was wanted, and what was allowed.

Law: all of it is a value, so that a journal tells later why.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Observation:
    """What a pool looked like when its scaler was asked. Averages are over the stable and the burst window.

    All of it is about requests that somebody waits for; `batch` counts those of the other class, in flight and waiting.
    """

    in_flight: int
    waiting: int
    ready: int
    starting: int
    draining: int
    demand_stable: float
    demand_burst: float
    arrivals_per_s: float
    slots: int
    cold_start_s: float
    waiting_s: float
    batch: int = 0


@dataclass(frozen=True, slots=True)
class Desired:
    """What a policy wants, and why in one sentence. It knows no bounds; the guard applies them."""

    replicas: int
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """One scaling decision: what was seen, wanted by the policy, allowed by the guard, and fitted by the fleet."""

    pool: str
    observation: Observation
    desired: Desired
    allowed: Desired
    before: int
    after: int
    shortage: str = ""
