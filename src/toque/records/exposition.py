"""Metrics for Prometheus: rendered from the gateway's counts and the fleet's view when they are scraped.

Law: names have the prefix `toque_` and base units; what the Gateway API's endpoint picker reads has vLLM's names.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from toque.model.condition import BreakerState
from toque.model.view import FleetView, PoolView, ReplicaState
from toque.records.load import pool_loads
from toque.records.metrics import Histogram, Metrics, ModelMetrics

_LABELS = ("model", "class")
HOLDS = ("nothing", "guard", "target", "capacity")
"""What may keep a pool from the size its policy wants: `toque why` has the sentence."""


class ToqueCollector(Collector):
    """Register it with a `CollectorRegistry`."""

    def __init__(self, metrics: Metrics, view: Callable[[], FleetView]) -> None:
        self._metrics = metrics
        self._view = view

    def collect(self) -> Iterator[Metric]:
        """Render everything, at scrape."""
        yield from self._counters()
        yield from self._histograms()
        view = self._view()
        yield from _gauges(view)
        for name, what, value in self._service(view):
            yield GaugeMetricFamily(name, what, value)

    def _service(self, view: FleetView) -> Iterator[tuple[str, str, float]]:
        metrics, pressure = self._metrics, self._metrics.pressure
        yield (
            "toque_overload_stage",
            "0 normal, 1 no keep-alive, 2 no batch, 3 nothing new, 4 no connections.",
            view.stage,
        )
        yield (
            "toque_gateway_memory_ratio",
            "Resident memory of the gateway, of what it may have.",
            pressure.memory_ratio,
        )
        yield "toque_event_loop_lag_seconds", "Lateness of the last measurement's timer.", pressure.loop_lag_s
        yield "toque_open_files_ratio", "Open descriptors, of those allowed.", pressure.open_files_ratio
        yield (
            "toque_config_last_reload_successful",
            "1: the settings read last hold; 0: they could not be used.",
            metrics.is_reload_good,
        )
        yield (
            "toque_config_last_reload_timestamp_seconds",
            "When settings were last read anew; 0: not since the start.",
            metrics.reloaded_at,
        )

    def _counters(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "toque_requests", "Requests that ended, by outcome.", labels=(*_LABELS, "status", "outcome")
        )
        for key, model in self._metrics.models.items():
            for (status, outcome), count in model.by_outcome.items():
                requests.add_metric((*key, str(status), outcome), count)
        yield requests
        totals: tuple[tuple[str, str, Callable[[ModelMetrics], int]], ...] = (
            ("toque_prompt_tokens", "Tokens read, of finished requests.", lambda model: model.prompt_tokens),
            ("toque_output_tokens", "Tokens written, of finished requests.", lambda model: model.output_tokens),
            ("toque_retries", "Attempts after the first one.", lambda model: model.retries),
        )
        for name, what, count_of in totals:
            family = CounterMetricFamily(name, what, labels=_LABELS)
            for key, model in self._metrics.models.items():
                family.add_metric(key, count_of(model))
            yield family
        fallbacks = CounterMetricFamily(
            "toque_fallbacks",
            "Requests that another model than the one asked was to answer, by cause.",
            labels=("model", "fallback", "cause"),
        )
        for way, count in self._metrics.fallbacks.items():
            fallbacks.add_metric(way, count)
        yield fallbacks

    def _histograms(self) -> Iterator[Metric]:
        times: tuple[tuple[str, str, Callable[[ModelMetrics], Histogram]], ...] = (
            ("toque_queue_wait_seconds", "Arrival to dispatch.", lambda model: model.queue_wait),
            ("toque_time_to_first_token_seconds", "Arrival to the first token of a stream.", lambda model: model.ttft),
            ("toque_request_duration_seconds", "Arrival to the end.", lambda model: model.duration),
            (
                "toque_time_per_output_token_seconds",
                "Mean gap between tokens of a stream.",
                lambda model: model.time_per_output_token,
            ),
        )
        for name, what, histogram_of in times:
            family = HistogramMetricFamily(name, what, labels=_LABELS)
            for key, model in self._metrics.models.items():
                histogram = histogram_of(model)
                family.add_metric(key, histogram.cumulated(), histogram.total_us / 1e6)
            yield family


class ControllerCollector(ToqueCollector):
    """The same for a controller, which may lead or not."""

    def __init__(self, view: Callable[[], FleetView], leads: Callable[[], bool]) -> None:
        super().__init__(Metrics(), view)
        self._leads = leads

    def collect(self) -> Iterator[Metric]:
        """Render everything, at scrape."""
        yield from super().collect()
        yield GaugeMetricFamily(
            "toque_leads", "1: this controller leads and decides; 0: it stands ready.", self._leads()
        )


def _gauges(view: FleetView) -> Iterator[Metric]:
    simple: tuple[tuple[str, str, Callable[[PoolView], int]], ...] = (
        ("toque_requests_in_flight", "Requests dispatched, unfinished.", lambda pool: pool.in_flight),
        ("toque_slots", "Room for concurrent requests on ready replicas.", lambda pool: pool.ready_slots),
    )
    for name, what, count_of in simple:
        family = GaugeMetricFamily(name, what, labels=("model",))
        for pool in view.pools:
            family.add_metric((pool.name,), count_of(pool))
        yield family
    waiting = GaugeMetricFamily("toque_requests_waiting", "Requests in the waiting line.", labels=_LABELS)
    replicas = GaugeMetricFamily("toque_replicas", "Replicas by state.", labels=("model", "state"))
    for pool in view.pools:
        waiting.add_metric((pool.name, "interactive"), pool.waiting_interactive)
        waiting.add_metric((pool.name, "batch"), pool.waiting_batch)
        states = Counter(replica.state for replica in pool.replicas)
        for state in ReplicaState:
            replicas.add_metric((pool.name, state.value), states[state])
    yield waiting
    yield replicas
    yield GaugeMetricFamily("toque_fallback_spent", "What fallbacks have cost within the last hour.", view.spent)
    yield GaugeMetricFamily("toque_fallback_spent_max", "What they may cost in an hour.", view.spending_limit)
    yield from pool_loads(view)
    yield from _scaling(view)
    yield from _breakers(view)


def _scaling(view: FleetView) -> Iterator[Metric]:
    numbers: tuple[tuple[str, str, Callable[[PoolView], int]], ...] = (
        ("toque_desired_replicas", "Replicas the policy wants, within the bounds.", lambda pool: pool.advised),
        ("toque_allowed_replicas", "Replicas the last decision allowed, delays and steps included.", _allowed),
        ("toque_target_replicas", "Replicas that somebody else has set; 0: nobody has.", lambda pool: pool.target),
    )
    for name, what, number_of in numbers:
        family = GaugeMetricFamily(name, what, labels=("model",))
        for pool in view.pools:
            family.add_metric((pool.name,), number_of(pool))
        yield family
    held = GaugeMetricFamily(
        "toque_scaling_held_by", "1 for what keeps the desired replicas from being there.", labels=("model", "by")
    )
    busy = GaugeMetricFamily("toque_slots_busy_ratio", "Busy share of the slots of ready replicas.", labels=("model",))
    for pool in view.pools:
        by = _held_by(pool)
        for one in HOLDS:
            held.add_metric((pool.name, one), one == by)
        busy.add_metric((pool.name,), pool.in_flight / pool.ready_slots if pool.ready_slots else 0.0)
    yield held
    yield busy


def _allowed(pool: PoolView) -> int:
    return pool.decision.allowed.replicas if pool.decision else pool.advised


def _held_by(pool: PoolView) -> str:
    """1. no room; 2. somebody else's number; 3. a bound, a step or a delay of ours."""
    decision = pool.decision
    if decision is None:
        return "nothing"
    if decision.shortage:  # 1
        return "capacity"
    if decision.allowed.replicas == decision.desired.replicas:
        return "nothing"
    return "target" if pool.target else "guard"  # 2, 3


def _breakers(view: FleetView) -> Iterator[Metric]:
    now = GaugeMetricFamily("toque_breakers", "Replicas by the state of their breaker.", labels=("model", "state"))
    turns = CounterMetricFamily("toque_breaker_turns", "Turns of breakers into a state.", labels=("model", "state"))
    for pool in view.pools:
        states = Counter(replica.breaker for replica in pool.replicas)
        for state in BreakerState:
            now.add_metric((pool.name, state.value), states[state])
            turns.add_metric((pool.name, state.value), pool.breaker_turns.get(state, 0))
    yield now
    yield turns
    hedged = CounterMetricFamily("toque_hedges", "Requests sent to a second replica as well.", labels=("model",))
    for pool in view.pools:
        hedged.add_metric((pool.name,), pool.hedged)
    yield hedged
    preempted = CounterMetricFamily(
        "toque_preemptions", "Requests of batch put back because people needed their slots.", labels=("model",)
    )
    for pool in view.pools:
        preempted.add_metric((pool.name,), pool.preempted)
    yield preempted
