"""The scaler: asks the policy once an interval, and lets the guard bound the answer.

Law: it asks only while something can change. A pool without demand, at the size it wants or may have, is not asked again
until the next request, the next change among its replicas, or the instant its last replica may go. A policy is asked in calm
too as long as it says `foresees` (a schedule, a plan, a floor that must end), or, above the minimum, `holds_back` (a delay or
a window of its own keeps more than the load needs). It sees the load of people alone; what batch may have beside that the
settings say.
"""

from math import ceil, inf
from typing import Final

from toque.core.elsewhere import Elsewhere
from toque.core.guard import Guard
from toque.core.policy import Policy
from toque.core.roster import Roster
from toque.core.window import LoadWindow
from toque.model.decision import Decision, Desired, Observation
from toque.model.spec import PoolSpec
from toque.model.ticket import ServiceClass

BATCH: Final = ServiceClass.BATCH


class Scaler:
    """Load window, policy and guard of one pool. `next_at` is when it wants to be asked (inf: not at all).

    `batch` counts the requests of batch, in flight and waiting; the window is of those that somebody waits for.
    """

    __slots__ = (
        "_batch_arrivals",
        "_guard",
        "_interval_s",
        "_policy",
        "_spec",
        "_window",
        "batch",
        "elsewhere",
        "is_blind",
        "next_at",
    )

    def __init__(self, spec: PoolSpec, policy: Policy, now: float) -> None:
        self._spec = spec
        self._policy = policy
        self._interval_s = spec.scaling.interval_s or policy.interval_s
        self._window = LoadWindow(max(spec.scaling.stable_window_s, self._interval_s), now)
        self._guard = Guard(spec, now)
        self.batch = 0
        self.elsewhere = Elsewhere()
        self.is_blind = False
        """Whether the load is not known: then nothing is decided."""
        self._batch_arrivals = 0
        self.next_at = now + self._interval_s if spec.elastic else inf

    def revise(self, spec: PoolSpec, policy: Policy, now: float) -> None:
        """Go by other settings; the load that was seen stays known. Asks within an interval."""
        self._spec = spec
        self._policy = policy
        self._interval_s = spec.scaling.interval_s or policy.interval_s
        self._window.revise(max(spec.scaling.stable_window_s, self._interval_s))
        self._guard.revise(spec)
        self.next_at = now + self._interval_s if spec.elastic else inf

    def bound(self, replicas: int) -> int:
        """Return the number nearest to `replicas` that the settings allow."""
        return self._guard.bound(replicas)

    def postpone(self, now: float) -> None:
        """Ask an interval later."""
        self.next_at = self._next_beat(now)

    @property
    def arrivals(self) -> int:
        """Requests that came so far."""
        return self._window.arrivals + self._batch_arrivals

    @property
    def people(self) -> int:
        """Of them, those that somebody waits for."""
        return self._window.arrivals

    @property
    def demand(self) -> int:
        """Requests in flight and waiting now."""
        return self._window.level + self.batch

    @property
    def own_demand(self) -> int:
        """What of it is here, and not at gateways."""
        return self.demand - self.elsewhere.people - self.elsewhere.batch

    def arrived(self, service_class: ServiceClass, now: float) -> None:
        """One more request; the first after a calm sets the next question."""
        if service_class is BATCH:
            self._batch_arrivals += 1
            self.batch += 1
            is_first = self.batch == 1
        else:
            is_first = self._window.arrive(now) == 1
        if is_first:
            self._guard.seen(1, now)
            self.rouse(now)

    def left(self, service_class: ServiceClass, now: float) -> None:
        """One request ended."""
        if service_class is BATCH:
            self.batch -= 1
        elif self._window.leave(now):
            return
        if not self.batch and not self._window.level:
            self._guard.seen(0, now)

    def heard(self, arrivals: int, now: float) -> None:
        """The load elsewhere changed, and so many people came there."""
        was_asked = self.demand > 0
        self._window.hear(self.elsewhere.people, arrivals, now)
        self.batch = self.elsewhere.batch
        if self.demand or was_asked or arrivals:
            self._guard.seen(self.demand, now)
        if not was_asked and (self.demand or arrivals):
            self.rouse(now)

    def rouse(self, now: float) -> None:
        """Something changed: ask within an interval."""
        if self.next_at > now + self._interval_s and self._spec.elastic:
            self.next_at = now + self._interval_s

    def observe(self, roster: Roster, people: tuple[int, int], wait: tuple[float, float], now: float) -> Observation:
        """Fold the load into averages.

        `people` is what they have in flight and waiting, `wait` their oldest wait and the pool's cold start, in seconds.
        """
        return Observation(
            in_flight=people[0] + self.elsewhere.in_flight,
            waiting=people[1] + self.elsewhere.waiting,
            ready=roster.live - roster.coming,
            starting=roster.coming,
            draining=len(roster.draining),
            demand_stable=self._window.demand(self._spec.scaling.stable_window_s, now),
            demand_burst=self._window.demand(self._spec.scaling.burst_window_s, now),
            arrivals_per_s=self._window.arrivals_per_s(self._interval_s, now),
            slots=self._spec.slots,
            waiting_s=max(wait[0], self.elsewhere.waiting_s(now)),
            cold_start_s=wait[1],
            batch=self.batch,
        )

    def decide(self, seen: Observation, now: float) -> Decision:
        """Ask policy and guard."""
        desired = self._beside_batch(self._policy.desire(seen, now), seen)
        allowed = self._guard.allow(desired, seen, now)
        before = seen.ready + seen.starting
        return Decision(self._spec.name, seen, desired, allowed, before, allowed.replicas)

    def rest(self, decision: Decision, now: float) -> None:
        """Say when to ask again after a decision was carried out.

        1. there is load still in the windows: after an interval; 2. the guard holds nothing back, or there is no room:
        when something changes; 3. the last replica was not idle long enough yet: when it was; 4. the guard holds more
        back: after an interval.
        """
        seen, allowed = decision.observation, decision.allowed.replicas
        is_quiet = not self.demand and not seen.demand_stable and not seen.arrivals_per_s
        is_calm = is_quiet and not self._may_change_its_mind(decision)
        zero_at = self._guard.zero_at()
        if is_calm and (decision.shortage or allowed == self._guard.bound(decision.desired.replicas)):  # 2
            self.next_at = inf
        elif is_calm and allowed == 1 and zero_at is not None and zero_at > now:  # 3
            self.next_at = zero_at
        else:  # 1, 4
            self.next_at = self._next_beat(now)

    def _beside_batch(self, desired: Desired, seen: Observation) -> Desired:
        """Add what batch may have: 1. nothing waits; 2. an empty pool starts one; 3. as many more as the settings say."""
        if not seen.batch:  # 1
            return desired
        more = min(self._spec.batch.replicas, ceil(seen.batch / seen.slots))
        if not more and not desired.replicas:  # 2
            return Desired(1, f"{desired.reason}; 1 so that {seen.batch} of batch move")
        told = f"{more} more for {seen.batch} of batch" if more else f"{seen.batch} of batch take what is idle"
        return Desired(desired.replicas + more, f"{desired.reason}; {told}")  # 3

    def _may_change_its_mind(self, decision: Decision) -> bool:
        """Whether time alone may change what the policy wants, which is above the minimum only by its own will."""
        bounds = self._spec.replicas
        is_above = (decision.desired if bounds.target else decision.allowed).replicas > bounds.minimum_warm
        return self._policy.foresees or (is_above and self._policy.holds_back)

    def _next_beat(self, now: float) -> float:
        """Keep the beat, so that wakes that come a little late do not add up; a beat that was missed is not made up for."""
        due = self.next_at + self._interval_s
        return due if due > now else now + self._interval_s


def is_news(decision: Decision, last: Decision | None) -> bool:
    """Whether a decision differs from the last one in anything but the load it saw."""
    if last is None or decision.before != decision.after:
        return True
    wanted = (decision.desired.replicas, decision.allowed.replicas, decision.shortage)
    return wanted != (last.desired.replicas, last.allowed.replicas, last.shortage)
