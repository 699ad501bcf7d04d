"""Two calls for one request: the first answer counts, and the other call is closed.

Law: only one of them ever reaches the client. A call that fails leaves the race, and whoever is left goes on alone.
"""

from typing import Protocol

from toque.gateway.attempt import Attempt, Customer
from toque.gateway.outlet import Write
from toque.gateway.verdict import Verdict


class Starter(Customer, Protocol):
    """Whoever has the race run (a relay)."""

    def left_with(self, attempt: Attempt, replica_id: int) -> None:
        """One call is left, to this replica; from now on it speaks for itself."""
        ...

    def lost_one(self, replica_id: int, verdict: Verdict) -> None:
        """The other call came to nothing."""
        ...


class Racer:
    """The customer of one of the two calls, until the race is over."""

    __slots__ = ("_race", "attempt", "replica_id")

    def __init__(self, race: "Race", attempt: Attempt, replica_id: int) -> None:
        self._race = race
        self.attempt = attempt
        self.replica_id = replica_id
        attempt.customer = self

    def begin(self, content_type: bytes, length: int | None) -> Write | None:
        """It answers."""
        return self._race.won_by(self).begin(content_type, length)

    def answered_at_once(self, content_type: bytes, body: bytes, prompt_tokens: int, output_tokens: int) -> None:
        """It has answered."""
        self._race.won_by(self).answered_at_once(content_type, body, prompt_tokens, output_tokens)

    def failed(self, verdict: Verdict) -> None:
        """It does not; an answer that blames the caller is an answer."""
        if verdict.kind is None:
            self._race.won_by(self).failed(verdict)
        else:
            self._race.lost_by(self, verdict)

    def pass_on(self, data: bytes) -> None:
        """Bytes come after `begin` only, and by then the race is over."""
        raise AssertionError("a racer that has begun speaks to the relay")

    def answered(self, prompt_tokens: int, output_tokens: int) -> None:
        """So does the end of what has begun."""
        raise AssertionError("a racer that has begun speaks to the relay")


class Race:
    """Stands where the relay has its attempt, and does to both what is done to it."""

    __slots__ = ("_racers", "_starter")

    def __init__(self, starter: Starter, first: Attempt, first_id: int, second: Attempt, second_id: int) -> None:
        self._starter = starter
        self._racers = (Racer(self, first, first_id), Racer(self, second, second_id))

    @property
    def moved(self) -> bool:
        """Whether something came of either."""
        return any(racer.attempt.moved for racer in self._racers)

    @moved.setter
    def moved(self, moved: bool) -> None:
        for racer in self._racers:
            racer.attempt.moved = moved

    def said_all(self) -> tuple[int, int] | None:
        """Neither has said anything."""
        return None

    def abort(self) -> None:
        """Close both calls."""
        for racer in self._racers:
            racer.attempt.abort()

    def pause(self) -> None:
        """Let both replicas wait."""
        for racer in self._racers:
            racer.attempt.pause()

    def resume(self) -> None:
        """Let both go on."""
        for racer in self._racers:
            racer.attempt.resume()

    def won_by(self, racer: Racer) -> Starter:
        """Close the other call; returns whom the winner speaks to from now on."""
        self._other(racer).attempt.abort()
        return self._leave(racer)

    def lost_by(self, racer: Racer, verdict: Verdict) -> None:
        """Go on with the other call alone."""
        self._leave(self._other(racer))
        self._starter.lost_one(racer.replica_id, verdict)

    def _leave(self, racer: Racer) -> Starter:
        racer.attempt.customer = self._starter
        self._starter.left_with(racer.attempt, racer.replica_id)
        return self._starter

    def _other(self, racer: Racer) -> Racer:
        first, second = self._racers
        return second if racer is first else first
