"""Specs: every setting of the deciding part, with its unit, its default and the reason for it.

Law: a spec is frozen, complete and already validated. What can grow has its limit here.
"""

from dataclasses import dataclass, field

from toque.model.batch_spec import BatchSpec
from toque.model.fallback_spec import CanarySpec, FallbackSpec, PriceSpec, SpendingSpec
from toque.model.overload import OverloadSpec
from toque.model.resources import Resources
from toque.model.setting import Setting, setting
from toque.model.trust_spec import BreakerSpec, EjectionSpec, HedgeSpec


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """The waiting line of one pool."""

    length_max: int = setting(
        256,
        Setting("Requests that may wait at once; a person does not outwait more than this at usual speeds.", minimum=0),
    )
    wait_s_max: float = setting(
        30.0, Setting("A request that waited this long is refused; callers time out soon after.", "s", above=0)
    )
    ageing_s: float = setting(
        10.0,
        Setting(
            "A batch request that waited this long, or one of low priority, is aged: it may take its small share of slots. "
            "Well below wait_s_max, so that none waits in vain.",
            "s",
            minimum=0,
        ),
    )
    batch_share_ratio: float = setting(
        0.05,
        Setting(
            "Share of dispatches that aged batch requests get while interactive ones wait too, so that batch always "
            "moves and interactive is slowed by at most this.",
            minimum=0,
            maximum=0.5,
        ),
    )
    low_priority_share_ratio: float = setting(
        0.05,
        Setting(
            "Share of a class's dispatches that aged requests of low priority get while others of a higher one wait too, so "
            "that every priority always moves.",
            minimum=0,
            maximum=0.5,
        ),
    )
    large_tokens_max: int = setting(
        0,
        Setting(
            "Tokens that large requests may hold at once for each ready replica, as predicted; further ones wait until one has "
            "ended, and short ones pass them. Large is what takes more than this / (slots - 1), so that a slot is left to short "
            "ones. 0: no bound.",
            "tokens",
            minimum=0,
        ),
    )
    cold_wait_s_max: float = setting(
        120.0,
        Setting(
            "Instead of wait_s_max while no replica is ready yet: a cold model may take this long to load.",
            "s",
            above=0,
        ),
    )
    standing_s: float = setting(
        10.0,
        Setting(
            "A line that has refused interactive requests for so long is no burst, and is shortened while no more capacity "
            "is on its way (0: never is).",
            "s",
            minimum=0,
        ),
    )
    standing_wait_s: float = setting(
        4.0,
        Setting(
            "A shortened line takes as many as are served within this, at least one for each slot: the slots stay busy, "
            "and whoever comes when the load has dropped does not wait for what was left of it.",
            "s",
            above=0,
        ),
    )


@dataclass(frozen=True, slots=True)
class ReplicaBounds:
    """How many replicas a pool may have, and how fast that number may move."""

    minimum_warm: int = setting(1, Setting("Replicas kept whatever the load. 0 allows scaling to zero.", minimum=0))
    maximum: int = setting(1, Setting("Replicas at most.", minimum=1))
    target: int = setting(
        0,
        Setting(
            "The number of replicas where somebody else decides it: an autoscaler, or a person with `kubectl scale`. Obeyed at "
            "once, between minimum_warm and maximum; the policy only advises then. 0: toque decides.",
            minimum=0,
        ),
    )
    idle_to_zero_s: float = setting(
        600.0,
        Setting(
            "With minimum_warm 0: the last replica stops after this long without a request, once the load averages "
            "are empty.",
            "s",
            minimum=0,
        ),
    )
    scale_down_delay_s: float = setting(
        60.0,
        Setting(
            "Demand must stay lower this long before replicas stop: a pause in talk is shorter than a minute.",
            "s",
            minimum=0,
        ),
    )
    step_up_max: int = setting(
        4, Setting("Replicas ordered at most in one decision (or as many as are live, if more).", minimum=1)
    )
    step_down_max: int = setting(
        1, Setting("Replicas drained at most in one decision: shrinking is never urgent.", minimum=1)
    )
    startup_timeout_s: float = setting(
        120.0, Setting("A replica that is not ready by then is stopped and counted as failed.", "s", above=0)
    )
    drain_s_max: float = setting(
        30.0, Setting("Grace of a draining replica for its requests in flight.", "s", minimum=0)
    )

    def bounded(self, replicas: int) -> int:
        """Return the number nearest to `replicas`, or to `target` where there is one, that the bounds allow."""
        return min(max(self.target or replicas, self.minimum_warm), self.maximum)


@dataclass(frozen=True, slots=True)
class ScalingSpec:
    """Which policy says how many replicas are wanted, and its numbers."""

    policy: str = setting(
        "concurrency",
        Setting(
            "What decides how many replicas are wanted: requests in flight, requests a second, nothing, or your own.",
            pluggable=True,
        ),
    )
    target: float = setting(
        0.0,
        Setting(
            "concurrency, hpa, kpa: wanted requests per replica (0: 70 % of its slots). keda (0: its slots) and "
            "ray_serve (0: 2) likewise. rate: wanted requests/s per replica (0: 1). queue_wait: the wait in seconds that "
            "99 % shall not exceed (0: 2). fixed: the number of replicas (0: minimum_warm).",
            minimum=0,
        ),
    )
    interval_s: float = setting(
        0.0, Setting("Time between decisions (0: the policy's own, between 2 and 15).", "s", minimum=0)
    )
    stable_window_s: float = setting(
        60.0, Setting("Long load average; Knative's default, long enough to see through noise.", "s", minimum=1)
    )
    burst_window_s: float = setting(
        6.0, Setting("Short load average that notices a burst; a tenth of the stable one.", "s", minimum=1)
    )


@dataclass(frozen=True, slots=True)
class RestartSpec:
    """What happens when replicas die by themselves."""

    backoff_s_min: float = setting(0.5, Setting("Wait before the first replacement.", "s", above=0))
    backoff_s_max: float = setting(30.0, Setting("The wait doubles with each failure up to this.", "s", above=0))
    crash_loop_failures: int = setting(
        5, Setting("So many early deaths in crash_loop_window_s are a crash loop.", minimum=2)
    )
    crash_loop_window_s: float = setting(60.0, Setting("See crash_loop_failures.", "s", above=0))
    early_death_s: float = setting(5.0, Setting("A death within this time of the start is early.", "s", above=0))


@dataclass(frozen=True, slots=True)
class RetrySpec:
    """How often a failed request is put back to the front of the line."""

    attempts_max: int = setting(
        1, Setting("Retries of one request, and only before its first byte: two losses are no accident.", minimum=0)
    )
    budget_ratio: float = setting(
        0.2,
        Setting(
            "Retries as a share of requests, of those in flight and of those that came: retries must not double a load.",
            minimum=0,
        ),
    )
    budget_min: int = setting(
        10, Setting("Retries allowed at once: one replica's death must not exhaust a small pool's budget.", minimum=0)
    )
    backoff_s: float = setting(
        0.1,
        Setting(
            "A request failed by a replica that may be overloaded rests so long first, give or take half of it: what "
            "failed together must not come back together.",
            "s",
            minimum=0,
            maximum=10,
        ),
    )


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Phases of a replica's start in seconds: as measured before (the ledger), or a guess."""

    spawn_s: float = 0.0
    load_s: float = 0.0
    warm_up_s: float = 0.0

    @property
    def total_s(self) -> float:
        """From `StartReplica` to `ReplicaReady`."""
        return self.spawn_s + self.load_s + self.warm_up_s


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """One model's pool, as the core sees it.

    `footprint` and `cold_start` are what the ledger remembers of this model on this machine, or estimates;
    `elastic` is false where replicas are somebody else's (a hosted API): then their number never changes. `hosted`: they are,
    or may be, on another machine, so that a request sent there leaves this one. `given`: replicas and slots come from a controller.
    """

    name: str
    slots: int = setting(
        1,
        Setting(
            "Requests one replica serves at once; for a hosted model, calls open at once.", minimum=1, maximum=4096
        ),
    )
    queue: QueueSpec = field(default_factory=QueueSpec)
    batch: BatchSpec = field(default_factory=BatchSpec)
    replicas: ReplicaBounds = field(default_factory=ReplicaBounds)
    scaling: ScalingSpec = field(default_factory=ScalingSpec)
    restart: RestartSpec = field(default_factory=RestartSpec)
    retry: RetrySpec = field(default_factory=RetrySpec)
    breaker: BreakerSpec = field(default_factory=BreakerSpec)
    ejection: EjectionSpec = field(default_factory=EjectionSpec)
    hedge: HedgeSpec = field(default_factory=HedgeSpec)
    routing: str = setting(
        "least_loaded",
        Setting(
            "Which ready replica gets a request: the one with the most free slots, or as your own class says.",
            pluggable=True,
        ),
    )
    local_only: bool = setting(
        False,  # noqa: FBT003 - a default
        Setting("Requests for this model never leave this machine: no fallback of it may be elsewhere."),
    )
    fallback: FallbackSpec = field(default_factory=FallbackSpec)
    canary: CanarySpec = field(default_factory=CanarySpec)
    price: PriceSpec = field(default_factory=PriceSpec)
    footprint: Resources = field(default_factory=Resources)
    cold_start: ColdStart = field(default_factory=ColdStart)
    elastic: bool = True
    hosted: bool = False
    given: bool = False


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """All pools and the one budget they share. `lends`: its slots are lent to gateways, whose load it scales by."""

    pools: tuple[PoolSpec, ...]
    capacity: Resources
    spending: SpendingSpec = field(default_factory=SpendingSpec)
    overload: OverloadSpec = field(default_factory=OverloadSpec)
    lends: bool = False
