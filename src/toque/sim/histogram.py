"""A histogram of durations in constant memory: buckets 1 % wide, so that a quantile is right within 0.5 %."""

from math import exp, log

LOWEST_S = 1e-4
"""Shorter durations count as zero."""
BUCKETS = 2_100
_WIDTH = log(1.01)


class Histogram:
    """Durations in seconds from 0.1 ms to a day."""

    __slots__ = ("_buckets", "_zeros", "count", "total_s")

    def __init__(self) -> None:
        self._buckets = [0] * BUCKETS
        self._zeros = 0
        self.count = 0
        self.total_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.count += 1
        self.total_s += seconds
        if seconds < LOWEST_S:
            self._zeros += 1
        else:
            self._buckets[min(BUCKETS - 1, int(log(seconds / LOWEST_S) / _WIDTH))] += 1

    def merge(self, other: "Histogram") -> None:
        """Count all durations of another one too."""
        self.count += other.count
        self.total_s += other.total_s
        self._zeros += other._zeros  # noqa: SLF001 - of the same class
        self._buckets = [mine + more for mine, more in zip(self._buckets, other._buckets, strict=True)]  # noqa: SLF001 - of the same class

    @property
    def mean_s(self) -> float:
        """The exact mean; 0 of nothing."""
        return self.total_s / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """Return the duration that `share` of all do not exceed; 0 of nothing."""
        rank = share * self.count
        seen = self._zeros
        if seen >= rank:
            return 0.0
        for index, size in enumerate(self._buckets):
            seen += size
            if seen >= rank:
                return LOWEST_S * exp((index + 0.5) * _WIDTH)
        return LOWEST_S * exp(BUCKETS * _WIDTH)

    def largest_s(self, number: int) -> float:
        """Return the sum of the `number` longest durations, or up to 1 % more; never less."""
        total_s = 0.0
        for index in range(BUCKETS - 1, -1, -1):
            taken = min(number, self._buckets[index])
            total_s += taken * LOWEST_S * exp((index + 1) * _WIDTH)
            number -= taken
            if not number:
                return min(total_s, self.total_s)
        return min(total_s + number * LOWEST_S, self.total_s)

    def points(self) -> list[tuple[float, float]]:
        """Return the distribution as (duration in s, share not exceeding it), only where it changes."""
        if not self.count:
            return []
        seen = self._zeros
        curve = [(0.0, seen / self.count)]
        for index, size in enumerate(self._buckets):
            if size:
                seen += size
                curve.append((LOWEST_S * exp((index + 1) * _WIDTH), seen / self.count))
        return curve
