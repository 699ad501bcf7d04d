"""Outlook: what somebody who wants an answer from a pool may expect, and what is told where there is none.

Law: it predicts and names; it changes nothing.
"""

from toque.core.forecast import Forecast, spread
from toque.core.journey import Journey
from toque.core.supply import Supply
from toque.core.trust import Trust
from toque.model.messages import Refuse
from toque.model.ticket import RefusalReason


class Outlook:
    """Looks at the supply of one pool, at its breakers and at what was measured."""

    __slots__ = ("_forecast", "_supply", "_trust")

    def __init__(self, supply: Supply, trust: Trust, forecast: Forecast) -> None:
        self._supply = supply
        self._trust = trust
        self._forecast = forecast

    def is_hopeless(self, now: float) -> bool:
        """Whether nobody will answer soon, and it is known why: a crash loop, or every breaker is open."""
        if self._supply.roster.ready:
            return self._trust.is_outage(now)
        return self._supply.restart.is_crash_loop

    def retry_after_s(self, waiting: int, now: float) -> float:
        """Predict when one more request behind `waiting` others could be served.

        1. Every breaker is open: when the first may be tried. 2. A slot of a ready replica. 3. A replica that is coming, or is
        ordered once the back-off is over.
        """
        roster = self._supply.roster
        if self._trust.is_outage(now):  # 1
            return self._trust.outage_s(now)
        if roster.ready:  # 2
            return self._forecast.slot_s(waiting, roster.slots)
        back_off_s = 0.0 if roster.coming else max(0.0, self._supply.restart.not_before - now)  # 3
        return back_off_s + self._forecast.ready_s(roster, now)

    def refusal(self, ticket_id: int, reason: RefusalReason, waiting: int, now: float) -> Refuse:
        """Tell one no, with its own share of the spread of returns."""
        return Refuse(ticket_id, reason, spread(self.retry_after_s(waiting, now), ticket_id))

    def expiry_reason(self, journey: Journey, now: float) -> RefusalReason:
        """Say why somebody waited in vain."""
        if journey.ticket.deadline <= now:
            return RefusalReason.DEADLINE_EXCEEDED
        if self._supply.roster.ready:
            return RefusalReason.QUEUE_TIMEOUT
        return RefusalReason.NO_CAPACITY if self._supply.shortage else RefusalReason.MODEL_LOADING
