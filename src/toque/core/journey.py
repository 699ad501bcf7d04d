"""A ticket's way through its pool: waiting, in flight, perhaps back to the front of the line.

Law: a journey is either waiting (`replica_id` None) or in flight on one replica, never both.
"""

from toque.model.ticket import Ticket


class Journey:
    """What the core remembers of one ticket until it ends.

    `cold_since`: since when it waits for a replica to load; None when one was ready.
    """

    __slots__ = (
        "arrived_at",
        "avoid",
        "cold_since",
        "dispatched_at",
        "give_up_at",
        "replica_id",
        "retries",
        "ticket",
    )

    def __init__(self, ticket: Ticket, arrived_at: float) -> None:
        self.ticket = ticket
        self.arrived_at = arrived_at
        self.give_up_at = ticket.deadline
        self.cold_since: float | None = None
        self.replica_id: int | None = None
        self.dispatched_at = 0.0
        self.retries = 0
        self.avoid: int | None = None
