"""Outlook: what somebody who wants an answer from a pool may expect, and what is told where there is none.

Law: it predicts and names; it changes nothing.
"""

from math import inf

from toque.core.batch_share import BatchShare
from toque.core.forecast import Forecast, spread
from toque.core.journey import Journey
from toque.core.queue import Line
from toque.core.supply import Supply
from toque.core.trust import Trust
from toque.model.ticket import RefusalReason, ServiceClass


class Outlook:
    """Looks at the line and the supply of one pool, at its breakers and at what was measured."""

    __slots__ = ("_forecast", "_line", "_share", "_supply", "_trust", "verdict")

    def __init__(self, line: Line, supply: Supply, trust: Trust, forecast: Forecast, share: BatchShare) -> None:
        self._line = line
        self._supply = supply
        self._trust = trust
        self._forecast = forecast
        self._share = share
        self.verdict: RefusalReason | None = None
        """Why a controller sees no replica coming; None where it does, or there is none."""

    @property
    def is_cold(self) -> bool:
        """Whether no replica is ready."""
        return not self._supply.roster.ready

    @property
    def trouble(self) -> str:
        """Why nothing answers since the last replica died; empty where something does, or nothing ever did."""
        roster = self._supply.roster
        return "" if roster.ready or roster.doubted else self._supply.restart.reason

    def is_hopeless(self, now: float) -> bool:
        """Whether nobody will answer soon, and it is known why: a crash loop, or every breaker is open."""
        if self._supply.roster.ready:
            return self._trust.is_outage(now)
        return self._supply.restart.is_crash_loop or self.verdict is not None

    def prospect_s(self, service_class: ServiceClass, now: float) -> float:
        """Predict how long one more request would wait here: 0 where a slot is free, inf where it would be refused."""
        if self.trouble or self.is_hopeless(now):
            return inf
        if self._line.is_first(service_class) and self._has_slot(service_class):
            return 0.0
        return inf if self._line.is_full(service_class) else self.wait_s(service_class, now)

    def _has_slot(self, service_class: ServiceClass) -> bool:
        """Whether a slot is free for this class, or batch would give one up."""
        is_free = self._supply.roster.choose(None) is not None
        return (
            is_free and self._share.has_room() if service_class is ServiceClass.BATCH else is_free or self._share.yields
        )

    def wait_s(self, service_class: ServiceClass, now: float, *, is_in_line: bool = False) -> float:
        """Predict how long one waits at the end of its class's line. Interactive does not wait for batch."""
        is_batch = service_class is ServiceClass.BATCH
        ahead = len(self._line) if is_batch else self._line.length(service_class)
        return self.retry_after_s(ahead - is_in_line, now)

    def served_within(self, seconds: float) -> int | None:
        """Predict how many are served in so long, one for each slot at least; None where that is about to change."""
        roster = self._supply.roster
        if not roster.ready or roster.coming:
            return None
        return max(roster.slots, int(seconds / self._forecast.slot_s(0, roster.slots)))

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

    def come_again_s(self, ticket_id: int, now: float) -> float:
        """Say when one who is refused should try again: its own share of the spread of returns."""
        return spread(self.retry_after_s(len(self._line), now), ticket_id)

    def expiry_reason(self, journey: Journey, now: float) -> RefusalReason:
        """Say why somebody waited in vain."""
        if journey.ticket.deadline <= now:
            return RefusalReason.DEADLINE_EXCEEDED
        if self._supply.roster.ready:
            return RefusalReason.QUEUE_TIMEOUT
        return RefusalReason.NO_CAPACITY if self._supply.shortage else RefusalReason.MODEL_LOADING
