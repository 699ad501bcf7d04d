"""Which ticket a request id got: so that `toque why REQUEST-ID` finds the steps in the journal.

Law: bounded; the oldest are forgotten first, as in the journal's ring.
"""

from collections import deque


class RecentTickets:
    """The tickets of the last `length` requests, half as many as the journal's ring has steps.

    Each request is remembered and hardly one is ever asked for, so they lie in order and are searched.
    """

    __slots__ = ("_tickets",)

    def __init__(self, length: int = 10_000) -> None:
        self._tickets: deque[tuple[bytes, int]] = deque(maxlen=length)

    def remember(self, request_id: bytes, ticket_id: int) -> None:
        """Keep one."""
        self._tickets.append((request_id, ticket_id))

    def find(self, request_id: str) -> int | None:
        """Return the ticket's number; None when nothing is remembered of the id.

        Of two requests with one id, which clients may send, the later counts. Takes a millisecond at most.
        """
        sent = request_id.encode()
        return next((ticket_id for name, ticket_id in reversed(self._tickets) if name == sent), None)
