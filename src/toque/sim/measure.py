"""What a simulation is judged by: service levels, cost, cold starts, utilization, fairness.

Law: a replica is paid from its order until it is gone, cold start and draining included. Memory does not grow with the
number of requests; shares are exact, quantiles right within 0.5 %.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from types import MappingProxyType

from toque.model.fallback_spec import PriceSpec
from toque.model.messages import Effect, Event, ReplicaFailed, ReplicaReady, ReplicaStopped, StartReplica, StopReplica
from toque.model.ticket import ServiceClass
from toque.sim.engine import Request
from toque.sim.histogram import Histogram
from toque.sim.objective import Objective

TENANTS_MAX = 10_000
"""Tenants told apart; all further ones count as one."""
NO_PRICES: Mapping[str, PriceSpec] = MappingProxyType({})
COLD_MET_S = 0.001
"""A shorter wait for a loading replica is not felt as a cold start."""


class Measures:
    """Follows one simulation; read the figures after `close`. Whatever is per request counts refused ones as missed.

    `prices` are those of the pools that others fall back to: `spilled` counts by pool whom it took, `spent` is what that cost.
    """

    def __init__(self, objective: Objective, slots: int, prices: Mapping[str, PriceSpec] = NO_PRICES) -> None:
        self._objective = objective
        self._slots = slots
        self._prices = prices
        self._ordered: dict[int, float] = {}
        self._ready: dict[int, float] = {}
        self._tokens: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._met = {service_class: [0, 0] for service_class in ServiceClass}
        self._paid_s = self._ready_s = 0.0
        self.busy_s = 0.0
        self.queue_wait = Histogram()
        self.ttft = Histogram()
        self.refusals: Counter[str] = Counter()
        self.spilled: Counter[str] = Counter()
        self.spent = 0.0
        self.requests = self.cold_starts_met = self.starts = self.stops = self.failures = 0
        self.ended_at = 0.0

    def step(self, now: float, event: Event, effects: list[Effect]) -> None:
        """Follow the replicas."""
        match event:
            case ReplicaReady(replica_id):
                self._ready[replica_id] = now
            case ReplicaStopped(replica_id):
                self._gone(replica_id, now)
            case ReplicaFailed(replica_id):
                self.failures += 1
                self._gone(replica_id, now)
            case _:
                pass
        for effect in effects:
            if isinstance(effect, StartReplica):
                self.starts += 1
                self._ordered[effect.replica_id] = now
            elif isinstance(effect, StopReplica):
                self.stops += 1

    def ended(self, request: Request, now: float) -> None:
        """Judge one request; items of a backlog are none of the traffic, but replicas are paid to the last one's end."""
        self.ended_at = now
        if request.arrival.is_item:
            return
        self.requests += 1
        met = self._met[request.arrival.service_class]
        met[0] += self._objective.met_by(request)
        met[1] += 1
        self._count_tokens(request)
        if request.refused or request.dispatched_at is None:
            self.refusals[request.refused] += 1
            return
        self.cold_starts_met += request.cold_start_s > COLD_MET_S
        self.busy_s += now - request.dispatched_at
        if request.fallback:
            self._count_fallback(request)
        self.queue_wait.add(request.dispatched_at - request.arrival.at)
        self.ttft.add((request.first_at or now) - request.arrival.at)

    def close(self) -> None:
        """Pay for what still runs at the end."""
        for replica_id in list(self._ordered):
            self._gone(replica_id, self.ended_at)

    @property
    def replica_hours(self) -> float:
        """Paid time of all replicas, in hours."""
        return self._paid_s / 3600

    @property
    def attainment(self) -> float:
        """Share of interactive requests (of all, if there are none) that met the objective; 1 of none."""
        met, judged = self._judged
        return met / judged if judged else 1.0

    @property
    def misses(self) -> int:
        """Requests that are judged and missed the objective."""
        met, judged = self._judged
        return judged - met

    @property
    def holds(self) -> bool:
        """Whether the objective was met."""
        return self.misses <= self._objective.misses_allowed(self._judged[1])

    @property
    def refused(self) -> int:
        """Requests that got no answer, or only half of one."""
        return self.refusals.total()

    @property
    def rejected(self) -> float:
        """Share of requests that got no answer."""
        return self.refused / self.requests if self.requests else 0.0

    @property
    def utilization(self) -> float:
        """Busy share of all slots of ready replicas."""
        return self.busy_s / (self._ready_s * self._slots) if self._ready_s else 0.0

    @property
    def goodput_per_s(self) -> float:
        """Requests a second that met the objective, batch that was served included."""
        batch = self._met[ServiceClass.BATCH]
        met = self._judged[0] + (batch[0] if self._met[ServiceClass.INTERACTIVE][1] else 0)
        return met / self.ended_at if self.ended_at else 0.0

    @property
    def fairness(self) -> float:
        """Jain's index over tenants of the share of their tokens that was served; 1 is fair, 1/n is one takes all."""
        shares = [served / wanted for wanted, served in self._tokens.values() if wanted]
        squares = sum(share * share for share in shares)
        return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0

    @property
    def _judged(self) -> tuple[int, int]:
        interactive, batch = self._met[ServiceClass.INTERACTIVE], self._met[ServiceClass.BATCH]
        met, judged = interactive if interactive[1] else batch
        return met, judged

    def _gone(self, replica_id: int, now: float) -> None:
        if replica_id in self._ordered:
            self._paid_s += max(0.0, now - self._ordered.pop(replica_id))
        if replica_id in self._ready:
            self._ready_s += max(0.0, now - self._ready.pop(replica_id))

    def _count_fallback(self, request: Request) -> None:
        self.spilled[request.fallback] += 1
        if request.fallback in self._prices:
            arrival = request.arrival
            self.spent += self._prices[request.fallback].cost(arrival.prompt_tokens, arrival.output_tokens)

    def _count_tokens(self, request: Request) -> None:
        tenant = request.arrival.tenant
        if tenant not in self._tokens and len(self._tokens) >= TENANTS_MAX:
            tenant = ""
        tokens = request.arrival.prompt_tokens + request.arrival.output_tokens
        self._tokens[tenant][0] += tokens
        self._tokens[tenant][1] += 0 if request.refused else tokens
