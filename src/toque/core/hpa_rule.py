"""The rule of Kubernetes' HorizontalPodAutoscaler, for the policies that are an HPA or end in one.

Source: the Kubernetes documentation of autoscaling/v2 and its defaults: tolerance 10 %; up by at most +100 % or +4 in 15 s,
unstabilised; down, and only down, to the highest recommendation of the last 300 s; never below one; asleep at zero.
"""

from collections import deque

from toque.core.rounding import NOISE, replicas_for

INTERVAL_S = 15.0
TOLERANCE = 0.1
STABILIZATION_S = 300.0
STEP_UP = 4


class HpaRule:
    """Recommends a number of replicas for a target load per replica; one of its two ways is called once an interval."""

    __slots__ = ("_recent", "_target")

    def __init__(self, target: float) -> None:
        self._target = target
        self._recent: deque[tuple[float, int]] = deque()

    @property
    def holds_back(self) -> bool:
        """Whether an older recommendation still keeps it above its last one: then time alone will change its mind."""
        return bool(self._recent) and self._recent[0][1] > self._recent[-1][1]

    def by_replicas(self, load: float, ready: int, starting: int, now: float) -> int:
        """Recommend by a metric that every ready replica reports (`Pods`); `load` is its sum."""
        return self._bounded(self._wanted_by_replicas(load, ready, starting), ready + starting, now)

    def by_queue(self, length: float, current: int, now: float) -> int:
        """Recommend by one number that belongs to no replica (`External`, `AverageValue`): readiness does not matter."""
        within = abs(length - self._target * current) <= TOLERANCE * self._target * current + NOISE
        return self._bounded(current if within else replicas_for(length, self._target), current, now)

    def _wanted_by_replicas(self, load: float, ready: int, starting: int) -> int:
        """ceil(replicas x metric / target), unless that is within the tolerance of what there is.

        1. nothing is ready: no metric, no change; 2. down or even: only the ready ones count; 3. up: those that are not
        ready count as unloaded, which may turn the wish around, and then nothing changes.
        """
        current = ready + starting
        if not ready:  # 1
            return current
        ratio = load / (ready * self._target)
        if ratio <= 1:  # 2
            return current if ratio >= 1 - TOLERANCE - NOISE else replicas_for(load, self._target)
        ratio = load / (current * self._target)  # 3
        return current if ratio <= 1 + TOLERANCE + NOISE else replicas_for(load, self._target)

    def _bounded(self, wanted: int, current: int, now: float) -> int:
        """Hold back a fall until all of the window agrees, and a rise to one step."""
        if not self._recent:  # what it finds when it begins counts as its first recommendation
            self._highest(current, now)
        highest = self._highest(wanted, now)
        if not current:
            return 0
        return max(1, min(max(wanted, current), highest, max(2 * current, current + STEP_UP)))

    def _highest(self, wanted: int, now: float) -> int:
        """Return the highest recommendation of the last 300 s; the deque falls monotonically."""
        recent = self._recent
        while recent and recent[-1][1] <= wanted:
            recent.pop()
        recent.append((now, wanted))
        while recent[0][0] <= now - STABILIZATION_S:
            recent.popleft()
        return recent[0][1]
