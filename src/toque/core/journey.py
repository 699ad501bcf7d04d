"""A ticket's way through its pool: waiting, in flight, perhaps back to the front of the line.

Law: a journey is either waiting (`replica_id` None) or in flight on one replica, never both.
"""

from math import inf
from typing import Protocol

from toque.core.replica import Replica
from toque.model.spec import QueueSpec
from toque.model.ticket import Ticket


class Payer(Protocol):
    """Whoever is charged for a request: a tally of `fair.py`."""

    def settle(self, more: float) -> None:
        """One request in flight has ended and took so many tokens more (or less) than it was charged."""
        ...


class Journey:
    """What the core remembers of one ticket until it ends.

    `cold_since`: since when it waits for a replica to load; None when one was ready. While it waits, `give_up_at` is when
    that ends, `appeal_at` when it asks for another pool (inf: never), and `due_at` whichever is first. `not_before`: until
    then it rests beside the line, for it was failed by a replica that may be overloaded. `cost_tokens` is what it will take by
    the forecast, known once it waits; `charged_to` pays for it since it was taken from the line.
    """

    __slots__ = (
        "appeal_at",
        "arrived_at",
        "avoid",
        "charged_to",
        "cold_since",
        "cost_tokens",
        "dispatched_at",
        "due_at",
        "give_up_at",
        "not_before",
        "preemptions",
        "replica_id",
        "retries",
        "second_at",
        "second_id",
        "ticket",
    )

    def __init__(self, ticket: Ticket, arrived_at: float) -> None:
        self.ticket = ticket
        self.arrived_at = arrived_at
        self.give_up_at = self.due_at = ticket.deadline
        self.appeal_at = inf
        self.cold_since: float | None = None
        self.replica_id: int | None = None
        self.dispatched_at = 0.0
        self.retries = 0
        self.preemptions = 0
        self.avoid: int | None = None
        self.not_before = 0.0
        self.cost_tokens = 0
        self.charged_to: Payer | None = None
        self.second_id: int | None = None  # the other replica while it is hedged
        self.second_at = 0.0

    def wait(self, spec: QueueSpec, now: float, *, is_cold: bool) -> None:
        """Be in the line from now on, again perhaps: then rather not to where it just was."""
        self.avoid, self.replica_id = self.replica_id, None
        wait_s = spec.cold_wait_s_max if is_cold else spec.wait_s_max
        self.give_up_at = self.due_at = min(self.ticket.deadline, now + wait_s)
        self.cold_since = now if is_cold else None

    def depart(self, replica: Replica, now: float) -> float:
        """Be in flight on this replica; return for how many seconds it had waited for one to load."""
        self.replica_id = replica.id
        self.dispatched_at = now
        if self.cold_since is None or replica.ready_at is None:
            return 0.0
        return max(0.0, replica.ready_at - self.cold_since)

    def sent_at(self, replica_id: int) -> float:
        """When it was sent to this replica, where it is now; -inf for another one."""
        if replica_id == self.replica_id:
            return self.dispatched_at
        return self.second_at if replica_id == self.second_id else -inf

    def give_way(self) -> None:
        """It left its replica for somebody else, and may return there."""
        self.avoid = None
        self.preemptions += 1

    def acquit(self) -> None:
        """Charge it to nobody: it was taken from one line only to stand in another."""
        assert self.charged_to is not None, "whoever is taken from a line is charged"
        self.charged_to.settle(-self.cost_tokens)
        self.charged_to = None

    def swap(self) -> None:
        """Let the second replica be the first."""
        self.replica_id, self.second_id = self.second_id, self.replica_id
        self.dispatched_at, self.second_at = self.second_at, self.dispatched_at
