"""Order of arrival for logs, which are written in the order in which requests ended.

Law: memory is bounded by the requests of `DISORDER_S`; what comes even later than that is passed on as it is, and told as
an error by whoever wants order.
"""

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from itertools import count

from toque.sim.arrival import Arrival

DISORDER_S = 600.0
"""The longest a request takes, by the default of limits.request_s: so much later than others its line may come."""


def in_order(arrivals: Iterable[Arrival]) -> Iterator[Arrival]:
    """Yield in ascending order of time what is at most `DISORDER_S` out of it."""
    held: list[tuple[float, int, Arrival]] = []
    order = count()
    newest = float("-inf")
    for arrival in arrivals:
        newest = max(newest, arrival.at)
        heappush(held, (arrival.at, next(order), arrival))
        while held[0][0] < newest - DISORDER_S:
            yield heappop(held)[2]
    while held:
        yield heappop(held)[2]
