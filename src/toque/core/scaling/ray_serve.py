"""Ray Serve's autoscaling: ongoing requests per replica against a target, and long delays before acting.

Source: Ray Serve's documentation and defaults: target_ongoing_requests 2; metrics averaged over 30 s and pushed each 10 s;
the wish must hold for 30 s before scaling up and for 600 s before scaling down; smoothing 1. With nothing running there is no
metric: it wants one, or what it has ordered.
"""

from toque.core.policy import Policy
from toque.core.rounding import replicas_for
from toque.model.decision import Desired, Observation
from toque.model.spec import PoolSpec

TARGET_ONGOING = 2.0
UPSCALE_DELAY_S = 30.0
DOWNSCALE_DELAY_S = 600.0


class RayServe(Policy):
    """`target` ongoing requests per replica (2 when none is given). The average is that of the stable window: set it to 30 s."""

    interval_s = 10.0

    def __init__(self, spec: PoolSpec) -> None:
        self._target = spec.scaling.target or TARGET_ONGOING
        self._since: float | None = None
        self._direction = 0
        self._wish: int | None = None

    @property
    def holds_back(self) -> bool:
        """While a wish waits for its delay."""
        return self._direction != 0

    def desire(self, seen: Observation, now: float) -> Desired:
        """Change only what was wanted in the same direction for its whole delay; once it was carried out that begins anew.

        1. nothing runs; 2. what was wished is still being carried out, however slowly the guard lets it; 3. not yet long
        enough; 4. now.
        """
        size = seen.ready + seen.starting
        if not seen.ready:  # 1
            return Desired(max(size, min(1, seen.in_flight + seen.waiting)), "Ray Serve: nothing is running yet")
        wanted = replicas_for(seen.demand_stable, self._target)
        direction = (wanted > size) - (wanted < size)
        if direction != self._direction or self._since is None:
            self._direction, self._since, self._wish = direction, now, None
        told = f"Ray Serve: {seen.demand_stable:.2f} ongoing requests, target {self._target:g}"
        if self._wish is not None and (self._wish - size) * direction > 0:  # 2
            self._wish = min(self._wish, wanted) if direction > 0 else max(self._wish, wanted)
            return Desired(self._wish, told)
        delay_s = UPSCALE_DELAY_S if direction > 0 else DOWNSCALE_DELAY_S
        if direction and now - self._since < delay_s:  # 3
            return Desired(size, f"{told}; {wanted} wanted, not yet for {delay_s:g} s")
        self._since, self._wish = now, wanted  # 4
        return Desired(wanted, told)
