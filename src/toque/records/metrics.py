"""What is counted on the way of each request, in plain lists: 0.2 us where a labelled library counter takes 2 us.

Law: label values come from the configuration or from our own code, so the number of series has a bound.
"""

from bisect import bisect_left

from toque.model.messages import PressureMeasured
from toque.records.served import Served

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.5)
UNKNOWN = "_unknown"
"""The model label of requests that named no model of ours."""


class Histogram:
    """Counts by bucket. `bounds` are upper bounds in seconds, inclusive; one more bucket takes the rest.

    What is counted are whole microseconds: adding and comparing them is exact, and costs half.
    """

    __slots__ = ("_bounds_us", "bounds", "counts", "total_us")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self._bounds_us = [round(bound * 1_000_000) for bound in bounds]
        self.counts = [0] * (len(bounds) + 1)
        self.total_us = 0

    def observe(self, us: int) -> None:
        """Count one value."""
        bounds_us = self._bounds_us
        self.counts[bisect_left(bounds_us, us) if us > bounds_us[0] else 0] += 1
        self.total_us += us

    def cumulated(self) -> list[tuple[str, float]]:
        """Buckets as Prometheus wants them: upper bound, and how many values were not above it."""
        so_far, buckets = 0, []
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            so_far += count
            buckets.append(("+Inf" if bound == float("inf") else repr(bound), float(so_far)))
        return buckets


class ModelMetrics:
    """What is counted for one model and class."""

    __slots__ = (
        "by_outcome",
        "duration",
        "output_tokens",
        "prompt_tokens",
        "queue_wait",
        "retries",
        "time_per_output_token",
        "ttft",
    )

    def __init__(self) -> None:
        self.by_outcome: dict[tuple[int, str], int] = {}
        self.duration = Histogram(SECONDS)
        self.queue_wait = Histogram(SECONDS)
        self.ttft = Histogram(SECONDS)
        self.time_per_output_token = Histogram(TOKEN_SECONDS)
        self.prompt_tokens = 0
        self.output_tokens = 0
        self.retries = 0

    def count(self, served: Served) -> None:
        """Count one request that has ended; waits and times only of those that got so far."""
        attempts, outcome = served.attempts, served.outcome
        key = (served.status, outcome)
        self.by_outcome[key] = self.by_outcome.get(key, 0) + 1
        if not attempts:
            return
        self.queue_wait.observe(served.queue_wait_us)
        if attempts > 1:
            self.retries += attempts - 1
        if outcome != "ok":
            return
        self.duration.observe(served.duration_us)
        self.prompt_tokens += served.prompt_tokens
        self.output_tokens += served.output_tokens
        if served.stream:
            self._count_tokens(served)

    def _count_tokens(self, served: Served) -> None:
        """When tokens came: only a stream shows it."""
        self.ttft.observe(served.ttft_us)
        if served.output_tokens > 1:
            self.time_per_output_token.observe((served.duration_us - served.ttft_us) // (served.output_tokens - 1))


class Metrics:
    """All counts of the gateway, by model and class."""

    def __init__(self) -> None:
        self.models: dict[tuple[str, str], ModelMetrics] = {}
        self.fallbacks: dict[tuple[str, str, str], int] = {}
        """(model asked, model that was to answer instead, cause) -> requests."""
        self.pressure = PressureMeasured(0.0, 0.0, 0.0)
        """The last measurement of this process."""
        self.is_reload_good = True
        self.reloaded_at = 0.0
        """Wall clock of the last reload, whatever came of it; 0: there was none."""

    def reloaded(self, at: float, *, is_good: bool) -> None:
        """Remember how the last reload went."""
        self.reloaded_at, self.is_reload_good = at, is_good

    def count(self, served: Served) -> None:
        """Count one request that has ended."""
        key = (served.model or UNKNOWN, served.service_class)
        found = self.models.get(key)
        if found is None:
            found = self.models[key] = ModelMetrics()
        found.count(served)
        if served.fallback:
            way = (served.asked, served.model, served.fallback)
            self.fallbacks[way] = self.fallbacks.get(way, 0) + 1
