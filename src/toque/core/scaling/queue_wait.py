"""The queue-wait policy: as few replicas as keep the wait of 99 % of requests within the target.

It keeps book of what simple rules (a floor, and headroom over the present demand) would have missed and cost on the traffic of
the last hours, cold start included, and follows the cheapest that would have kept the objective (`core/hindsight.py`).

Law: demand is averaged over one cold start, so noise shorter than that orders nothing; what it misses itself makes it stricter.
"""

from collections import deque
from math import exp

from toque.core.hindsight import MEMORY_S, Hindsight
from toque.core.policy import Policy
from toque.core.rounding import replicas_for
from toque.model.decision import Desired, Observation
from toque.model.spec import PoolSpec

TARGET_S = 2.0
MISSES_RATIO = 0.005
"""Half of the 1 % that may miss: the fluid model sees no chance in the length of answers."""
SERVICE_MEMORY_S = 900.0
SERVICE_S_GUESS = 2.0
SLOWDOWN = 0.4
"""How much longer a request takes in a full replica than in an idle one, as a share of the mean. The slots
profiles that come along give 0.1 to 0.6 on recorded traffic. It cannot be told from load alone, because long requests fill
replicas too; what is guessed wrong here, real misses correct."""
HOLD_S = 60.0
"""What was ordered is kept at least this long, or one cold start: about what ordering it again would cost."""
LEARNING_S = 1800.0
"""Until then it is never below the number it found: rare bursts have not been seen yet."""
CALM_S = 600.0
"""After so long without a single request another floor than none has no reason any more."""


class QueueWait(Policy):
    """`target` is the wait in seconds (2 when none is given)."""

    interval_s = 2.0
    foresees = True
    """Asked in calm too while it keeps a floor: that must end with its reason."""

    def __init__(self, spec: PoolSpec) -> None:
        self._target_s = spec.scaling.target or TARGET_S
        self._slots = spec.slots
        self._interval_s = spec.scaling.interval_s or self.interval_s
        self._hindsight = Hindsight(spec.slots, spec.replicas.maximum, self._target_s)
        self._demand = _RecentDemand()
        self._service = _Service(spec.slots)
        self._asked_at: float | None = None
        self._born = self._active_at = 0.0
        self._found = 0
        self._arrived = 0.0
        self._missed = 0.0

    def desire(self, seen: Observation, now: float) -> Desired:
        """Follow the rule that did best; after a long calm want none."""
        if self._asked_at is None:
            self._born = self._active_at = now
            self._found = seen.ready + seen.starting
            self._asked_at = now - self._interval_s
        elapsed_s = max(now - self._asked_at, 1e-3)
        self._asked_at = now
        self._learn(seen, elapsed_s, now)
        if seen.in_flight or seen.waiting or seen.arrivals_per_s:
            self._active_at = now
        self.foresees = now - self._active_at < CALM_S
        if not self.foresees:
            return Desired(0, f"no request for {CALM_S:g} s")
        rule = self._hindsight.cheapest(self._misses_allowed())
        floor = max(rule.floor, self._found) if now - self._born < LEARNING_S else rule.floor
        demand = self._demand.highest(now)
        wanted = max(floor, replicas_for(rule.headroom * demand, self._slots))
        return Desired(
            wanted,
            f"at least {floor} and {rule.headroom:g} x {demand:.2f} requests would have kept {self._target_s:g} s",
        )

    def _learn(self, seen: Observation, elapsed_s: float, now: float) -> None:
        arrived = seen.arrivals_per_s * self._interval_s
        self._service.learn(
            arrived, seen, min(elapsed_s, self._interval_s)
        )  # what was in flight during a rest is not known
        self._demand.learn(seen, elapsed_s, now)
        demand = (self._demand.highest(now), self._demand.highest_ready(now))
        self._hindsight.advance(arrived, demand, elapsed_s, self._service.seconds())
        late = min(float(seen.waiting), self._arrived) if seen.waiting_s > self._target_s else 0.0
        self._missed = self._missed * exp(-elapsed_s / MEMORY_S) + late
        self._arrived = arrived

    def _misses_allowed(self) -> float:
        """What it missed really beyond its allowance is taken off the allowance of the rules: they were too hopeful."""
        allowed = MISSES_RATIO * self._hindsight.arrived
        return max(0.0, allowed - max(0.0, self._missed - allowed))


class _RecentDemand:
    """Demand averaged over about one cold start, and its peaks: all that is held, and what has replicas by now."""

    def __init__(self) -> None:
        self._average = 0.0
        self._cold_start_s = 0.0
        self._recent: deque[tuple[float, float]] = deque()

    def learn(self, seen: Observation, elapsed_s: float, now: float) -> None:
        """Take the burst window's average in; a cold start longer than that smooths it further."""
        self._cold_start_s = seen.cold_start_s
        share = 1 - exp(-elapsed_s / seen.cold_start_s) if seen.cold_start_s > 6 else 1.0
        self._average += share * (seen.demand_burst - self._average)
        self._recent.append((now, self._average))
        oldest = now - self._hold_s() - self._cold_start_s
        while self._recent[0][0] < oldest:
            self._recent.popleft()

    def highest(self, now: float) -> float:
        """Highest average that is still held."""
        return max(level for at, level in self._recent if at >= now - self._hold_s())

    def highest_ready(self, now: float) -> float:
        """Highest average of those that were seen a cold start ago: what was ordered for them is ready."""
        return max((level for at, level in self._recent if at <= now - self._cold_start_s), default=0.0)

    def _hold_s(self) -> float:
        return max(HOLD_S, self._cold_start_s)


class _Service:
    """How long a request keeps its slot, by Little's law; fading."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._busy_s = 0.0
        self._busy_share_s = 0.0
        self._arrived = 0.0

    def learn(self, arrived: float, seen: Observation, elapsed_s: float) -> None:
        """Take one interval in."""
        fade = exp(-elapsed_s / SERVICE_MEMORY_S)
        busy_s = seen.in_flight * elapsed_s
        busy_share = min(1.0, seen.in_flight / (max(1, seen.ready) * self._slots))
        self._arrived = self._arrived * fade + arrived
        self._busy_s = self._busy_s * fade + busy_s
        self._busy_share_s = self._busy_share_s * fade + busy_s * busy_share

    def seconds(self) -> tuple[float, float]:
        """Seconds in a slot of an idle replica, and how many more in a full one."""
        if not (self._arrived and self._busy_s):
            return SERVICE_S_GUESS, 0.0
        mean_s = max(0.01, self._busy_s / self._arrived)
        more_s = SLOWDOWN * mean_s
        return mean_s - more_s * self._busy_share_s / self._busy_s, more_s
