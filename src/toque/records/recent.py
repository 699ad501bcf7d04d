"""Which ticket a request id got: so that `toque why REQUEST-ID` finds the steps in the journal.

Law: bounded; the oldest are forgotten first, as in the journal's ring.
"""

from collections import deque


class RecentTickets:
    """The tickets of the last `length` requests."""

    __slots__ = ("_order", "_tickets")

    def __init__(self, length: int = 20_000) -> None:
        self._order: deque[bytes] = deque(maxlen=length)
        self._tickets: dict[bytes, int] = {}

    def remember(self, request_id: bytes, ticket_id: int) -> None:
        """Keep one. Of two requests with one id, which clients may send, the later counts."""
        if len(self._order) == self._order.maxlen:
            self._tickets.pop(self._order[0], None)
        self._order.append(request_id)
        self._tickets[request_id] = ticket_id

    def find(self, request_id: str) -> int | None:
        """Return the ticket's number; None when nothing is remembered of the id."""
        return self._tickets.get(request_id.encode())
