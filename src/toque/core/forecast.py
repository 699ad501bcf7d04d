"""What a caller may expect: how long until a slot is free, how long until a cold model answers.

Law: a prediction comes from what was measured here; where nothing was measured yet it is a modest guess. It is never more
than a minute, because clients that are told more do not come back at all (the OpenAI SDK ignores more than 120 s).
"""

from toque.core.jitter import share
from toque.core.roster import Roster
from toque.model.spec import ColdStart
from toque.model.ticket import Ticket

RETRY_AFTER_S_MAX = 60.0
SERVICE_S_GUESS = 2.0
OUTPUT_TOKENS_GUESS = 256
COLD_START_S_GUESS = 5.0
_WEIGHT = 0.1


class Forecast:
    """Moving averages of one pool."""

    __slots__ = ("_output_tokens", "_service_s", "cold_start")

    def __init__(self, cold_start: ColdStart) -> None:
        self._service_s = 0.0
        self._output_tokens = 0.0
        self.cold_start = cold_start

    def served(self, service_s: float, output_tokens: int) -> None:
        """Learn how long one request kept its slot, and how long its answer was (0: nobody counted)."""
        if self._service_s:
            self._service_s += _WEIGHT * (service_s - self._service_s)
        else:
            self._service_s = service_s
        if output_tokens:
            mean = self._output_tokens
            self._output_tokens = mean + _WEIGHT * (output_tokens - mean) if mean else output_tokens

    def cost_tokens(self, ticket: Ticket) -> int:
        """Predict how many tokens a request will take, at least 1: its prompt, and an answer of the mean length so far here,
        or as long as it may be, if that is less."""
        output_tokens = int(self._output_tokens) or OUTPUT_TOKENS_GUESS
        most = ticket.output_tokens_max or output_tokens
        return max(1, ticket.prompt_tokens + min(most, output_tokens))

    def started(self, cold_start: ColdStart) -> None:
        """Learn how long a start took; the last one counts, since models and machines change."""
        self.cold_start = cold_start

    def slot_s(self, waiting: int, slots: int) -> float:
        """Predict when a newcomer behind `waiting` others would get a slot."""
        service_s = self._service_s or SERVICE_S_GUESS
        return (waiting + 1) * service_s / max(1, slots)

    def ready_s(self, roster: Roster, now: float) -> float:
        """Predict when the first replica that is coming will be ready."""
        expected_s = self.cold_start.total_s or COLD_START_S_GUESS
        started = [r.started_at for r in roster.replicas.values() if r.is_coming]
        if not started:
            return expected_s
        return max(1.0, expected_s - (now - min(started)))


def spread(seconds: float, ticket_id: int) -> float:
    """Bound a Retry-After and spread it by +-20 %, so that refused callers do not all return at once."""
    return max(1.0, min(seconds, RETRY_AFTER_S_MAX / 1.2) * (0.8 + 0.4 * share(ticket_id)))
