"""What every relay uses and none owns: the fleet, the ways to its replicas, the limits, the records.

Law: the gateway asks the fleet through this page only.
"""

from dataclasses import dataclass
from typing import Protocol

from toque.gateway.upstreams import Directory, Upstreams
from toque.model.messages import Event
from toque.model.service_spec import LimitSpec
from toque.model.ticket import Ticket
from toque.model.view import FleetView
from toque.records.metrics import Metrics
from toque.records.recent import RecentTickets
from toque.records.served import Served
from toque.runtime.actuator import Waiter


class FleetPort(Directory, Protocol):
    """The fleet as the gateway sees it: `runtime.controller.Controller`, or a scripted one in tests."""

    def now(self) -> float:
        """Float seconds of the fleet's clock."""
        ...

    def next_ticket_id(self) -> int:
        """Return a number no ticket had before."""
        ...

    def submit(self, ticket: Ticket, waiter: Waiter) -> None:
        """Hand a ticket in; `waiter` learns what becomes of it, perhaps before this returns."""
        ...

    def post(self, event: Event) -> None:
        """Tell what happened."""
        ...

    def view(self) -> FleetView:
        """Copy the fleet for people and metrics."""
        ...


class Log(Protocol):
    """Takes a line for every request that ended."""

    def write(self, served: Served) -> None:
        """Keep one line; returns at once."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Given to each relay."""

    fleet: FleetPort
    upstreams: Upstreams
    limits: LimitSpec
    metrics: Metrics
    access: Log | None
    recent: RecentTickets

    def record(self, served: Served) -> None:
        """Count a request that has ended, and write its line."""
        self.metrics.count(served)
        access = self.access
        if access is not None:
            access.write(served)
