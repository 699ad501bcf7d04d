"""KEDA on a queue's length: awake while anything is queued, an HPA between one and the maximum.

Source: KEDA's documentation: it polls each 30 s for whether anything is queued, and lets the last replica go after 300 s
without; between one and N the HPA asks for the length at its own pace, each 15 s, as an external metric per replica. The
length counts what is not acknowledged yet too, so it is waiting + in flight.
"""

from toque.core.hpa_rule import INTERVAL_S, HpaRule
from toque.core.policy import Policy
from toque.model.decision import Desired, Observation
from toque.model.spec import PoolSpec

COOLDOWN_S = 300.0


class Keda(Policy):
    """`target` queued requests per replica; the number of slots when none is given. The core itself wakes from zero."""

    interval_s = INTERVAL_S
    holds_back = True
    """Until the cooldown is over."""

    def __init__(self, spec: PoolSpec) -> None:
        self._target = spec.scaling.target or float(spec.slots)
        self._rule = HpaRule(self._target)
        self._active_at: float | None = None

    def desire(self, seen: Observation, now: float) -> Desired:
        """Between one and N: the HPA; to zero: after the cooldown without a message."""
        length = seen.in_flight + seen.waiting
        wanted = self._rule.by_queue(length, seen.ready + seen.starting, now)
        if length or self._active_at is None:
            self._active_at = now
        self.holds_back = now - self._active_at < COOLDOWN_S
        if not self.holds_back:
            return Desired(0, f"KEDA: no message for {COOLDOWN_S:g} s")
        return Desired(max(1, wanted), f"KEDA: {length} messages, {self._target:g} wanted per replica")
