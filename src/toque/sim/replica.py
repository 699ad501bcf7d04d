"""One simulated replica: a model of its speed, in a time of its own that faults slow, halt or end.

Law: models are sans-I/O. They are told the time and say when something happens next; nothing of a replica that has ended
is ever reported.
"""

from collections import deque
from collections.abc import Callable
from math import inf
from typing import Protocol

from toque.sim.clockwork import Clockwork


class SimulatedReplica(Protocol):
    """How fast a replica serves. `now` is seconds of its own time and never goes back."""

    def begin(self, number: int, prompt_tokens: int, output_tokens: int, now: float) -> None:
        """Take a request in; the fleet has seen to it that a slot is free."""
        ...

    def leave(self, number: int, now: float) -> None:
        """Drop a request that its caller gave up; one that has ended, or ends in this instant, may be dropped too."""
        ...

    def next_at(self) -> float:
        """When `turn` has something to report, if nothing else begins before; inf for never."""
        ...

    def turn(self, now: float) -> list[tuple[int, bool]]:
        """Go on to `now`, and report (number of a request, False for its first token and True for its end) in order."""
        ...


ReplicaFactory = Callable[[], SimulatedReplica]
Report = Callable[[int, bool], None]


class Life:
    """Joins a model and the clockwork. `pace` is seconds of its own time per second: 1 sound, 0 hung."""

    __slots__ = ("_anchor", "_clock", "_model", "_planned_at", "_report", "_target", "_told", "is_over", "pace")

    def __init__(self, model: SimulatedReplica, clock: Clockwork, report: Report) -> None:
        self._model = model
        self._clock = clock
        self._report = report
        self._anchor: tuple[float, float] | None = None
        self._planned_at = inf
        self._target = inf
        self._told: deque[tuple[int, bool]] = deque()
        self.pace = 1.0
        self.is_over = False

    def begin(self, number: int, prompt_tokens: int, output_tokens: int) -> None:
        """Hand a request to the model."""
        self._model.begin(number, prompt_tokens, output_tokens, self._own_time())
        self._plan()

    def leave(self, number: int) -> None:
        """Take a request from the model; what was to be told of it at this instant is not."""
        self._model.leave(number, self._own_time())
        self._told = deque(told for told in self._told if told[0] != number)
        self._plan()

    def set_pace(self, pace: float) -> None:
        """Go on at another speed from now."""
        self._anchor = (self._clock.now, self._own_time())
        self.pace = pace
        self._planned_at = inf
        self._plan()

    def end(self) -> None:
        """Report nothing more."""
        self.is_over = True

    def _own_time(self) -> float:
        if self._anchor is None:  # always sound: exactly the clockwork's time, without rounding
            return self._clock.now
        since, own = self._anchor
        return own + (self._clock.now - since) * self.pace

    def _plan(self) -> None:
        """See to it that the model's next instant is planned; an entry that became too early will plan anew."""
        at = self._model.next_at()
        if at == inf or not self.pace:
            return
        when = at
        if self._anchor is not None:
            since, own = self._anchor
            when = max(self._clock.now, since + (at - own) / self.pace)
        if when < self._planned_at:
            self._planned_at, self._target = when, at
            self._clock.at(when, self._fire)

    def _fire(self) -> None:
        if self.is_over or self._clock.now != self._planned_at:
            return
        self._planned_at = inf
        own = max(self._own_time(), self._target)  # the way there and back through `pace` may round down
        self._told.extend(self._model.turn(own))
        while self._told:
            self._report(*self._told.popleft())
        self._plan()
