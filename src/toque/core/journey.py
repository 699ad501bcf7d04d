"""A ticket's way through its pool: waiting, in flight, perhaps back to the front of the line.

Law: a journey is either waiting (`replica_id` None) or in flight on one replica, never both.
"""

from toque.model.ticket import Ticket


class Journey:
    """What the core remembers of one ticket until it ends."""

    __slots__ = (
        "arrived_at",
        "avoid",
        "dispatched_at",
        "give_up_at",
        "met_cold_pool",
        "replica_id",
        "retries",
        "ticket",
    )

    def __init__(self, ticket: Ticket, arrived_at: float, give_up_at: float, *, met_cold_pool: bool) -> None:
        self.ticket = ticket
        self.arrived_at = arrived_at
        self.give_up_at = give_up_at
        self.met_cold_pool = met_cold_pool
        self.replica_id: int | None = None
        self.dispatched_at = 0.0
        self.retries = 0
        self.avoid: int | None = None
