"""The errand: one inference request as the door lets it through.

Law: everything in it was checked; what it says to a replica is in that replica's dialect.
"""

from collections.abc import Callable

from toque.gateway.accounts import Reservation
from toque.gateway.openai import Ask
from toque.gateway.rank import Rank
from toque.model.errors import CallerError, LimitedError, RefusedError, ToqueError
from toque.model.ticket import FallbackCause, RefusalReason, Ticket

BYTES_A_TOKEN = 4
"""Of a prompt in English with its JSON around it. Only guesses are made of it, and only until the replica has counted."""
PROMPT_TOKENS_MAX = 2**17
"""A body with a picture in it is long, but no prompt is longer."""
FULL = frozenset({RefusalReason.QUEUE_FULL, RefusalReason.QUEUE_TIMEOUT, RefusalReason.NO_CAPACITY})
"""Refusals that say that there is no room."""


class Errand:
    """What the door found out: who asks for what, how it is called, and until when an answer is worth anything.

    `path` is the path end at the replica; `fields` are header fields for it, each with its CRLF, but for those that each request has.
    `tells_rank`: the request asked for a rank, so the answer tells which one it had. `share` is the weight of the tenant.

    What few have comes later. `reservation` is what it was admitted by, where its key has limits. `fallbacks` are the models
    that may answer instead, and `ask_instead` says the request in the words of one of them; once one of them is to answer, `ask`
    is for that one, `asked` is the model that was asked, and `cause` says why it does not answer itself.
    """

    __slots__ = (
        "arrived_at",
        "ask",
        "ask_instead",
        "asked",
        "cause",
        "deadline",
        "fallbacks",
        "fields",
        "misfit",
        "path",
        "rank",
        "request_id",
        "reservation",
        "share",
        "tells_rank",
        "tenant",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - what the door finds out, at once
        self,
        ask: Ask,
        path: str,
        fields: bytes,
        request_id: bytes,
        tenant: str,
        rank: Rank,
        share: float,
        arrived_at: float,
        deadline: float,
        tells_rank: bool = False,  # noqa: FBT001, FBT002 - by position: there is one for each request
    ) -> None:
        self.ask = ask
        self.path = path
        self.fields = fields
        self.request_id = request_id
        self.tenant = tenant
        self.rank = rank
        self.share = share
        self.arrived_at = arrived_at
        self.deadline = deadline
        self.tells_rank = tells_rank
        self.reservation: Reservation | None = None
        self.fallbacks: tuple[str, ...] = ()
        self.ask_instead: Callable[[str], Ask] | None = None
        self.asked = self.cause = ""
        self.misfit: CallerError | None = None

    def ticket(self, ticket_id: int) -> Ticket:
        """Return the request as the core sees it."""
        ask, rank = self.ask, self.rank
        return Ticket(
            ticket_id,
            ask.model,
            self.deadline,
            rank.service_class,
            self.tenant,
            self.fallbacks,
            0 if ask.streams else ask.tokens_max,
            rank.priority,
            prompt_tokens(ask),
            ask.tokens_max,
            self.share,
        )

    def refusal(self, reason: RefusalReason, retry_after_s: float) -> ToqueError:
        """Return what a refusal of the fleet means to this client: who asked for `flex` was ready to hear that there is no room."""
        wish = self.ask.wish
        if wish is not None and wish.is_flex and reason in FULL:
            message = (
                "There is no spare capacity for `flex` now. Try again after Retry-After, or without `service_tier`."
            )
            return LimitedError(message, code="resource_unavailable", retry_after_s=retry_after_s)
        return RefusedError(reason, retry_after_s)

    @property
    def tells_more(self) -> bool:
        """Whether its answer says more than those of others."""
        return self.tells_rank or self.reservation is not None

    def withdraw(self) -> None:
        """It needs no replica after all: what was set aside for it is free."""
        if self.reservation is not None:
            self.reservation.cancel()

    def divert(self, model: str, cause: FallbackCause) -> None:
        """Be for another model from now on, in its words.

        Where that model takes less than the one that was asked (no addresses of pictures, say), `misfit` says what.
        """
        assert self.ask_instead is not None, "a ticket with fallbacks comes with the way to ask them"
        self.asked, self.cause, self.misfit = self.asked or self.ask.model, cause.value, None
        try:
            self.ask = self.ask_instead(model)
        except CallerError as error:
            self.ask, self.misfit = self.ask.to(model), error


def prompt_tokens(ask: Ask) -> int:
    """Guess the tokens of a prompt."""
    return min(len(ask.body) // BYTES_A_TOKEN, PROMPT_TOKENS_MAX)
