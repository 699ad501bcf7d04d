"""Knative's pod autoscaler: a stable window of 60 s, a panic window of 6 s.

Source: Knative Serving's documentation and defaults: a tick each 2 s; target 70 % of the container's concurrency; panic when
the panic window wants at least twice what is ready; in panic never fewer than before; panic ends when a whole stable window
passed without its condition; up by at most 1000 x, down by at most 2 x a tick.
"""

from toque.core.policy import Policy
from toque.core.rounding import replicas_for
from toque.model.decision import Desired, Observation
from toque.model.spec import PoolSpec

TARGET_UTILIZATION = 0.7
PANIC_RATIO = 2
UP_RATE = 1000
DOWN_RATE = 2


class Kpa(Policy):
    """`target` requests in flight or waiting per replica; 70 % of the slots when none is given."""

    interval_s = 2.0

    def __init__(self, spec: PoolSpec) -> None:
        self._target = spec.scaling.target or TARGET_UTILIZATION * spec.slots
        self._stable_window_s = spec.scaling.stable_window_s
        self._panicked_at: float | None = None
        self._panic_peak = 0

    @property
    def holds_back(self) -> bool:
        """While it panics."""
        return self._panicked_at is not None

    def desire(self, seen: Observation, now: float) -> Desired:
        """Want what the stable window asks for; in panic the larger of both, and never less than in this panic before."""
        ready = max(1, seen.ready)
        stable, burst = self._limited(seen.demand_stable, ready), self._limited(seen.demand_burst, ready)
        if burst >= PANIC_RATIO * ready:
            self._panicked_at = now
        elif self._panicked_at is not None and now - self._panicked_at > self._stable_window_s:
            self._panicked_at, self._panic_peak = None, 0
        if self._panicked_at is None:
            return Desired(stable, f"KPA stable: {seen.demand_stable:.2f} requests, target {self._target:g}")
        self._panic_peak = max(self._panic_peak, stable, burst)
        return Desired(self._panic_peak, f"KPA panic: {seen.demand_burst:.2f} requests, target {self._target:g}")

    def _limited(self, demand: float, ready: int) -> int:
        return min(max(replicas_for(demand, self._target), ready // DOWN_RATE), ready * UP_RATE)
