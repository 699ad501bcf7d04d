"""Replicas that all gateways of a simulation use: they outlive whoever ordered them, and take no more requests than they have slots.

Law: that they are never given more is looked at with each request.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from toque.sim.clockwork import Clockwork
from toque.sim.replica import Life, ReplicaFactory


@dataclass(slots=True)
class Copy:
    """One replica. `bound` is the number that whoever leads knows it by (0: none), `since` when it was last paid for."""

    mark: str
    life: Life | None = None
    busy: int = 0
    bound: int = 0
    since: float = 0.0


class SharedReplicas:
    """`served` hears of the end of a request, `ready` of a replica that came up. `paid_s` is the time they answered."""

    def __init__(
        self,
        clock: Clockwork,
        factory: ReplicaFactory,
        slots: int,
        served: Callable[[int], None],
        ready: Callable[[Copy], None],
    ) -> None:
        self._clock = clock
        self._factory = factory
        self._slots = slots
        self._served = served
        self._ready = ready
        self._next = count(1).__next__
        self.copies: dict[str, Copy] = {}
        self.paid_s = 0.0

    def order(self, replica_id: int, cold_start_s: float) -> Copy:
        """Bind a replica that a predecessor left, or start one."""
        left = next((copy for copy in self.copies.values() if not copy.bound), None)
        copy = left or Copy(f"replica-{self._next()}")
        copy.bound = replica_id
        self.copies[copy.mark] = copy
        if left is None:
            self._later(cold_start_s, lambda: self._come(copy))
        elif copy.life is not None:
            self._later(0.0, lambda: self._ready(copy))
        return copy

    def unbind(self) -> None:
        """Whoever led is gone."""
        for copy in self.copies.values():
            copy.bound = 0

    def stop(self, mark: str) -> None:
        """End a replica, with whatever it has."""
        copy = self.copies.pop(mark)
        self._pay(copy)
        if copy.life is not None:
            copy.life.end()

    def begin(self, mark: str, number: int, prompt_tokens: int, output_tokens: int) -> bool:
        """Send a request to a replica; False where there is none any more."""
        copy = self.copies.get(mark)
        if copy is None or copy.life is None:
            return False
        copy.busy += 1
        assert copy.busy <= self._slots, f"{mark} has {copy.busy} requests in {self._slots} slots"
        copy.life.begin(number, prompt_tokens, output_tokens)
        return True

    def leave(self, mark: str, number: int) -> None:
        """Close a call; that of a replica that is gone is closed."""
        copy = self.copies.get(mark)
        if copy is not None and copy.life is not None:
            copy.busy -= 1
            copy.life.leave(number)

    def close(self) -> None:
        """Pay for all that still run."""
        for copy in self.copies.values():
            self._pay(copy)

    def _come(self, copy: Copy) -> None:
        if copy.mark in self.copies:
            copy.since = self._clock.now
            copy.life = Life(self._factory(), self._clock, lambda number, is_end: self._report(copy, number, is_end))
            if copy.bound:
                self._ready(copy)

    def _report(self, copy: Copy, number: int, is_end: bool) -> None:  # noqa: FBT001 - a model's report
        if is_end:
            copy.busy -= 1
            self._served(number)

    def _pay(self, copy: Copy) -> None:
        if copy.life is not None:
            self.paid_s += self._clock.now - copy.since
            copy.since = self._clock.now

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self._clock.at(self._clock.now + seconds, call)
