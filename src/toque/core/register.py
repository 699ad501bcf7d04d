"""The register: which requests are under way in one pool, waiting or in flight.

Law: whoever enters ends once, and with its end everything is told that counts it: the scaler, the budget of retries, and
whoever is charged for it.
"""

from toque.core.journey import Journey
from toque.core.queue import Line
from toque.core.retry import RetryBudget
from toque.core.scaler import Scaler
from toque.model.ticket import Ticket


class Register:
    """`journeys` are those of all pools by number of ticket."""

    __slots__ = ("_line", "_retries", "_scaler", "journeys")

    def __init__(self, journeys: dict[int, Journey], scaler: Scaler, retries: RetryBudget, line: Line) -> None:
        self.journeys = journeys
        self._scaler = scaler
        self._retries = retries
        self._line = line

    def enter(self, ticket: Ticket, now: float) -> Journey:
        """Begin a request's way through this pool."""
        journey = self.journeys[ticket.id] = Journey(ticket, now)
        self._scaler.arrived(ticket.service_class, now)
        return journey

    def end(self, journey: Journey, now: float, tokens: int | None = 0) -> None:
        """End it. It took so many tokens; None: nobody counted, so it is charged as foretold."""
        del self.journeys[journey.ticket.id]
        if journey.charged_to is not None:
            journey.charged_to.settle(0 if tokens is None else tokens - journey.cost_tokens)
        if journey.cost_tokens:
            self._line.ended(journey, now)
        if journey.retries:
            self._retries.ended(journey)
        self._scaler.left(journey.ticket.service_class, now)

    def pass_by(self, ticket: Ticket, now: float) -> None:
        """Count one that is turned away: it is demand nevertheless."""
        self._scaler.arrived(ticket.service_class, now)
        self._scaler.left(ticket.service_class, now)
