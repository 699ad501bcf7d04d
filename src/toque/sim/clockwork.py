"""The heap of virtual time: what happens next, and nothing else.

Law: events of one instant come in the order in which they were planned, so that the same scenario always runs the same.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from math import inf


class Clockwork:
    """Planned calls, earliest first. `now` is virtual seconds and never goes back."""

    __slots__ = ("_heap", "_order", "now")

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Plan a call for an instant that is not before now."""
        heappush(self._heap, (when, next(self._order), call))

    def next_at(self) -> float:
        """When the next call is due; inf when none is planned."""
        return self._heap[0][0] if self._heap else inf

    def turn(self) -> None:
        """Go to the next planned instant and make its call."""
        when, _, call = heappop(self._heap)
        self.now = when
        call()
