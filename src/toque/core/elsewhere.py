"""Load elsewhere: what the gateways of a controller have of one pool, added up.

Law: in a fleet that has its own door all of it is zero, and changes nothing.
"""

from math import inf


class Elsewhere:
    """People in flight and waiting, batch (all of it, and what of it is in flight), and since when the first of them waits."""

    __slots__ = ("batch", "batch_in_flight", "in_flight", "since", "waiting")

    def __init__(self) -> None:
        self.in_flight = 0
        self.waiting = 0
        self.batch = 0
        self.batch_in_flight = 0
        self.since = inf

    @property
    def people(self) -> int:
        """People, in flight and waiting."""
        return self.in_flight + self.waiting

    @property
    def waits(self) -> bool:
        """Whether anybody waits."""
        return self.waiting > 0 or self.batch > self.batch_in_flight

    @property
    def is_busy(self) -> bool:
        """Whether anything is in flight."""
        return self.in_flight > 0 or self.batch_in_flight > 0

    def waiting_s(self, now: float) -> float:
        """How long the first of the people has waited; 0 where nobody does."""
        return max(0.0, now - self.since)
