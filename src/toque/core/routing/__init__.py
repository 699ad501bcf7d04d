"""Which ready replica takes a ticket. One policy a file, one table line."""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from toque.core.replica import Replica
from toque.core.routing.least_loaded import LeastLoaded


class Router(Protocol):
    """Knows the routable replicas of one pool and picks one."""

    def place(self, replica: Replica) -> None:
        """Learn of a replica's new load or state."""

    def remove(self, replica: Replica) -> None:
        """Forget a replica."""

    def choose(self, avoid: int | None) -> Replica | None:
        """Pick one with a free slot, rather not `avoid`."""


RouterTable: TypeAlias = Mapping[str, Callable[[], Router]]

ROUTERS: RouterTable = {
    "least_loaded": LeastLoaded,
}
