"""The guard: bounds, rates and delays around any policy.

Law: whatever a policy says, there are never fewer than minimum warm and never more than maximum replicas; growth and
shrinking have a step rate; shrinking waits for demand that stayed low, and after a (re)start for one filled window.
"""

from collections import deque

from toque.model.decision import Desired, Observation
from toque.model.spec import PoolSpec, ReplicaBounds


class Guard:
    """Turns what a policy wants into what it may have."""

    __slots__ = ("_born", "_bounds", "_idle_since", "_recent", "_stable_window_s")

    def __init__(self, spec: PoolSpec, now: float) -> None:
        self._bounds = spec.replicas
        self._stable_window_s = spec.scaling.stable_window_s
        self._born = now
        self._recent: deque[tuple[float, int]] = deque()
        self._idle_since: float | None = now

    def revise(self, spec: PoolSpec) -> None:
        """Go by other bounds; what was seen stays known."""
        self._bounds = spec.replicas
        self._stable_window_s = spec.scaling.stable_window_s

    def seen(self, demand: int, now: float) -> None:
        """Learn whether there is any demand at all; idleness counts from its end."""
        self._idle_since = None if demand else now

    def bound(self, replicas: int) -> int:
        """Return the number nearest to `replicas`, or to the target that is set, neither below minimum warm nor above maximum."""
        return self._bounds.bounded(replicas)

    def allow(self, desired: Desired, seen: Observation, now: float) -> Desired:
        """Bound what is desired: more replicas by a step, as many as there are, or fewer after a calm.

        A cold model is loaded once (O14): until its first replica has shown that it loads at all, no more are ordered.
        A number that is set is obeyed at once: whoever sets it has steps and delays of their own.
        """
        if self._bounds.target:
            return _obeyed(self._bounds)
        live = seen.ready + seen.starting
        bounded = self.bound(desired.replicas)
        highest = self._highest_recent(bounded, now)
        if bounded < live:
            return self._shrink(desired, live, highest, now)
        if bounded > live and seen.starting and not seen.ready:
            return Desired(max(live, self._bounds.minimum_warm), "the first replica is still loading")
        step = max(self._bounds.step_up_max, live)
        return _told(min(bounded, live + step), desired, bounded)

    def _shrink(self, desired: Desired, live: int, highest: int, now: float) -> Desired:
        """Allow fewer replicas.

        1. not before one stable window after the start; 2. the last one after idleness, which is a delay of its own;
        3. not before demand stayed low for the delay; 4. else down by a step.
        """
        if now - self._born < self._stable_window_s:  # 1
            return Desired(live, "no shrinking until one window has filled")
        if live == 1:  # 2
            if self._idle_long_enough(now):
                return _told(0, desired, 0)
            return Desired(1, f"the last replica stays {self._bounds.idle_to_zero_s:g} s")
        if highest >= live:  # 3
            return Desired(live, f"lower demand has not lasted {self._bounds.scale_down_delay_s:g} s")
        return _told(max(highest, live - self._bounds.step_down_max, 1), desired, highest)  # 4

    def zero_at(self) -> float | None:
        """When the last replica may go, if nothing arrives until then; None where a minimum is kept or demand is there."""
        if self._bounds.minimum_warm or self._idle_since is None:
            return None
        return self._idle_since + self._bounds.idle_to_zero_s

    def _idle_long_enough(self, now: float) -> bool:
        at = self.zero_at()
        return at is not None and now >= at

    def _highest_recent(self, bounded: int, now: float) -> int:
        """Return the highest recommendation of the last `scale_down_delay_s`; the deque falls monotonically."""
        recent = self._recent
        while recent and recent[-1][1] <= bounded:
            recent.pop()
        recent.append((now, bounded))
        while recent[0][0] <= now - self._bounds.scale_down_delay_s and len(recent) > 1:
            recent.popleft()
        return recent[0][1]


def _obeyed(bounds: ReplicaBounds) -> Desired:
    replicas = bounds.bounded(0)
    told = f"replicas.target is set to {bounds.target}"
    if replicas == bounds.target:
        return Desired(replicas, told)
    return Desired(replicas, f"{told}, {'not below' if replicas > bounds.target else 'not above'} {replicas}")


def _told(replicas: int, desired: Desired, bounded: int) -> Desired:
    """Say what the guard changed, and only that: the policy's own reason stands beside it in the decision."""
    changes = []
    if bounded > desired.replicas:
        changes.append(f"not below {bounded}")
    if bounded < desired.replicas:
        changes.append(f"not above {bounded}")
    if replicas != bounded:
        changes.append(f"in steps, now {replicas}")
    return Desired(replicas, "; ".join(changes) or "as wanted")
