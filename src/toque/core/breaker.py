"""The breaker of one replica: whether it may be sent requests, by what became of those before.

Law: the state changes through TABLE and nowhere else; a turn the table does not know changes nothing. Half-open lets exactly
one request through, the probe, and only its end decides: what was sent before it opened says nothing any more.
"""

from collections.abc import Callable
from enum import StrEnum
from math import inf

from toque.model.condition import BreakerState as State
from toque.model.trust_spec import BreakerSpec


class Turn(StrEnum):
    """What can happen to a breaker."""

    FAILED_TOO_OFTEN = "failed_too_often"
    FOUND_SLOW = "found_slow"
    ASKED_FOR_PEACE = "asked_for_peace"
    RESTED = "rested"
    PROVED = "proved"


TABLE: dict[tuple[State, Turn], State] = {
    (State.CLOSED, Turn.FAILED_TOO_OFTEN): State.OPEN,
    (State.CLOSED, Turn.FOUND_SLOW): State.EJECTED,
    (State.CLOSED, Turn.ASKED_FOR_PEACE): State.PAUSED,
    (State.PAUSED, Turn.FAILED_TOO_OFTEN): State.OPEN,
    (State.PAUSED, Turn.ASKED_FOR_PEACE): State.PAUSED,
    (State.PAUSED, Turn.RESTED): State.CLOSED,
    (State.OPEN, Turn.RESTED): State.HALF_OPEN,
    (State.EJECTED, Turn.RESTED): State.HALF_OPEN,
    (State.HALF_OPEN, Turn.FAILED_TOO_OFTEN): State.OPEN,
    (State.HALF_OPEN, Turn.FOUND_SLOW): State.EJECTED,
    (State.HALF_OPEN, Turn.ASKED_FOR_PEACE): State.PAUSED,
    (State.HALF_OPEN, Turn.PROVED): State.CLOSED,
}

RESTING = frozenset({State.PAUSED, State.OPEN, State.EJECTED})
"""Nothing is sent until a known instant."""


class Breaker:
    """State and memory of one breaker. Times are seconds of the fleet's clock.

    `is_alert` is false while it is closed and no failure is remembered: then successes need not be told. `until` is when a
    resting one has rested (inf: it does not rest), `probe` the ticket that half-open has let through. `is_silent`: it opened
    because a request got no answer at all.
    """

    __slots__ = (
        "_closed_at",
        "_failures",
        "_in_a_row",
        "_open_s",
        "_outcomes",
        "_outlived",
        "_spec",
        "_window_ends_at",
        "is_alert",
        "is_silent",
        "probe",
        "reason",
        "state",
        "until",
    )

    def __init__(self, spec: BreakerSpec) -> None:
        self._spec = spec
        self.state = State.CLOSED
        self.reason = ""
        self.until = inf
        self.probe: int | None = None
        self.is_alert = self.is_silent = False
        self._in_a_row = self._outcomes = self._failures = self._outlived = 0
        self._window_ends_at = -inf
        self._open_s = 0.0
        self._closed_at = inf

    @property
    def is_barred(self) -> bool:
        """Whether nothing may be sent now."""
        return self.state in RESTING or self.probe is not None

    def is_awaiting(self, ticket_id: int) -> bool:
        """Whether this request is the probe."""
        return self.probe == ticket_id

    def succeeded(self, now: float) -> None:
        """Count an answer; one of a closed breaker that is alert."""
        self._in_a_row = 0
        self._outcomes += 1
        if now >= self._window_ends_at:
            self.is_alert = self.state is not State.CLOSED

    def failed(self, now: float, outlived: Callable[[], int]) -> str:
        """Count a failure; say why that is too often, or nothing where it is not.

        `outlived` counts the requests under way that were sent no later than the one that failed. It is asked only when the
        failures would be too many without them, and as often again as they grow beyond what it said.
        """
        if now >= self._window_ends_at:
            self._window_ends_at = now + self._spec.window_s
            self._outcomes = self._failures = self._outlived = 0
        self.is_alert = True
        self._in_a_row += 1
        self._outcomes += 1
        self._failures += 1
        if not self._complaint():
            return ""
        self._outlived = outlived()
        return self._complaint()

    def turn(self, turn: Turn, reason: str, now: float, pause_s: float = 0.0) -> bool:
        """Go where the table leads; False where it leads nowhere. `pause_s` is how long a replica asked for peace."""
        state = TABLE.get((self.state, turn))
        if state is None:
            return False
        if state is State.PAUSED:
            self.until = now + min(pause_s, self._spec.pause_s_max)
        elif state in RESTING:
            self.until = now + self._lengthen(now)
        else:
            self.until = inf
        self.is_alert = True
        if turn is Turn.PROVED:
            self._forget(now)
        self.state, self.reason, self.probe = state, reason, None
        return True

    def _complaint(self) -> str:
        """Say why there are too many failures, if there are: 1. in a row; 2. of all. Who outlived them speaks against both.

        Without those, failures that come at once would outrun answers that take their time.
        """
        spec, row = self._spec, self._in_a_row
        if row >= spec.failures_in_a_row and row >= spec.failure_ratio * (row + self._outlived):  # 1
            return f"{row} failures in a row"
        known = self._outcomes + self._outlived
        if self._outcomes >= spec.answers_min and self._failures >= spec.failure_ratio * known:  # 2
            return f"{self._failures} of {self._outcomes} requests failed within {spec.window_s:g} s"
        return ""

    def _lengthen(self, now: float) -> float:
        """Return how long it rests: twice as long as the last time, unless it was closed for as long as that since."""
        is_again = self._open_s > 0 and now - self._closed_at < self._open_s
        self._open_s = min(2 * self._open_s, self._spec.open_s_max) if is_again else self._spec.open_s_min
        self._closed_at = inf
        return self._open_s

    def _forget(self, now: float) -> None:
        """Begin anew: what was counted before says nothing about now."""
        self._in_a_row = 0
        self._window_ends_at = -inf
        self._closed_at = now
        self.is_alert = False
