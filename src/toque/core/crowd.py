"""Who has most waiting for its share: whose newest request makes way when the line is full.

Law: it only counts. Every operation is O(log n), one in n of them O(n).
"""

from heapq import heapify, heappop, heappush

from toque.model.ticket import Ticket

SLACK = 64


class Crowd:
    """How many of each tenant wait.

    Whenever a tenant comes to have n > 1 waiting, an entry for n is made: so there is one for what it has now, and entries for
    more are stale.
    """

    __slots__ = ("_counts", "_entries", "_total")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._entries: list[tuple[float, int, str]] = []
        self._total = 0

    def add(self, ticket: Ticket) -> None:
        """One more waits."""
        count = self._counts.get(ticket.tenant, 0) + 1
        self._counts[ticket.tenant] = count
        self._total += 1
        if count > 1:
            heappush(self._entries, (-count / ticket.share, count, ticket.tenant))

    def remove(self, ticket: Ticket) -> None:
        """One waits no more."""
        self._total -= 1
        count = self._counts.pop(ticket.tenant) - 1
        if count:
            self._counts[ticket.tenant] = count
        if len(self._entries) > 2 * self._total + SLACK:
            self._entries = list({entry for entry in self._entries if not self._is_stale(entry)})
            heapify(self._entries)

    def count(self, tenant: str) -> int:
        """How many of a tenant wait."""
        return self._counts.get(tenant, 0)

    @property
    def tenants(self) -> int:
        """How many tenants have somebody waiting."""
        return len(self._counts)

    def largest_above(self, size: float) -> str | None:
        """Return the tenant with most waiting, by its share, if that is more than `size` and more than one."""
        entries = self._entries
        while entries and self._is_stale(entries[0]):
            heappop(entries)
        return entries[0][2] if entries and -entries[0][0] > size else None

    def _is_stale(self, entry: tuple[float, int, str]) -> bool:
        return self._counts.get(entry[2], 0) < entry[1]
