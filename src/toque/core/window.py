"""Load averages of one pool over the last seconds, in constant memory.

Law: demand (in flight + waiting) is averaged over time, not over samples, so a short spike weighs as long as it lasted.
The resolution is one second: a checkpoint is kept at most once a second, and between two the load counts as even.
"""

from collections import deque

RESOLUTION_S = 1.0


class LoadWindow:
    """Time-weighted averages over any span up to `span_s`. `level` is the demand now, `arrivals` counts all."""

    __slots__ = ("_area", "_born", "_checkpoints", "_fixed_at", "_last", "_span_s", "arrivals", "level")

    def __init__(self, span_s: float, now: float) -> None:
        self._span_s = span_s
        self._born = now
        self._last = now
        self._fixed_at = now
        self.level = 0
        self._area = 0.0
        self.arrivals = 0
        self._checkpoints: deque[tuple[float, float, int]] = deque([(now, 0.0, 0)])

    def revise(self, span_s: float) -> None:
        """Remember another span; of a longer one, the part before now stays unknown until it has passed."""
        self._span_s = span_s

    def arrive(self, now: float) -> int:
        """One more request wants a slot; returns the level."""
        if now - self._fixed_at >= RESOLUTION_S:
            self._checkpoint(now)
        level = self.level
        self._area += level * (now - self._last)
        self._last = now
        self.arrivals += 1
        self.level = level = level + 1
        return level

    def leave(self, now: float) -> int:
        """One request ended, in whatever way; returns the level."""
        if now - self._fixed_at >= RESOLUTION_S:
            self._checkpoint(now)
        level = self.level
        self._area += level * (now - self._last)
        self._last = now
        self.level = level = level - 1
        return level

    def hear(self, level: int, arrivals: int, now: float) -> None:
        """So many want a slot now, as others counted, and so many more came."""
        self._advance(now)
        self.arrivals += arrivals
        self.level = level

    def demand(self, span_s: float, now: float) -> float:
        """Average demand over the last `span_s` seconds (or since birth, if that is shorter)."""
        self._advance(now)
        start = max(now - span_s, self._born)
        if now <= start:
            return float(self.level)
        return (self._area - self._at(start)[0]) / (now - start)

    def arrivals_per_s(self, span_s: float, now: float) -> float:
        """Arrivals a second over the last `span_s` seconds, their first instant included.

        So a pool that is asked one span after a request woke it still sees that request. A young window divides by the
        whole span too.
        """
        self._advance(now)
        return (self.arrivals - self._at(now - span_s)[1]) / span_s

    def _advance(self, now: float) -> None:
        if now - self._fixed_at >= RESOLUTION_S:
            self._checkpoint(now)
        self._area += self.level * (now - self._last)
        self._last = now

    def _checkpoint(self, now: float) -> None:
        """Fix the state of the last change and of now: between them the level was even."""
        points = self._checkpoints
        last = (self._last, self._area, self.arrivals)
        if last != points[-1]:
            points.append(last)
        area = self._area + self.level * (now - self._last)
        points.append((now, area, self.arrivals))
        self._fixed_at = now
        while len(points) > 2 and points[1][0] <= now - self._span_s:
            points.popleft()

    def _at(self, instant: float) -> tuple[float, float]:
        """Area and arrivals just before `instant`, interpolated between two checkpoints."""
        later = (self._last, self._area, self.arrivals)
        for earlier in reversed(self._checkpoints):
            if earlier[0] < instant:
                return _between(earlier, later, instant)
            later = earlier
        return later[1], float(later[2])


def _between(earlier: tuple[float, float, int], later: tuple[float, float, int], instant: float) -> tuple[float, float]:
    width = later[0] - earlier[0]
    share = (instant - earlier[0]) / width if width > 0 else 1.0
    return (
        earlier[1] + share * (later[1] - earlier[1]),
        earlier[2] + share * (later[2] - earlier[2]),
    )
