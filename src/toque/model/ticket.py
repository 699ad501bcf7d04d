"""Ticket: a request as the core sees it, without its text.

Law: a ticket ends exactly once, as finished, failed, refused or abandoned.
"""

from enum import StrEnum

from toque.model.value import value


class ServiceClass(StrEnum):
    """Who is waiting: a person (`interactive`) or a job (`batch`)."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


PRIORITY = 3
"""Where nobody says: the default urgency of RFC 9218."""
PRIORITY_MAX = 7
"""The last to be served; the first is 0."""


@value
class Ticket:
    """One request for one pool.

    `deadline` is the instant (float seconds of the fleet's clock) after which an answer is worthless; the pool's queue
    may give up earlier. `tenant` is the name of the key, never the key. `whole_tokens_max`: output tokens at most of
    an answer that is wanted whole; 0 for a stream, or where nobody said. `fallbacks` are the pools that may answer instead,
    in order: whoever makes the ticket leaves out those that its key, its path or its model forbid.

    Inside its class `priority` says who is first (0 to `PRIORITY_MAX`, lower is sooner), and inside a priority tenants get slots
    by their `share`, the weight of this one's. What it will cost is predicted from `prompt_tokens` (an estimate) and
    `output_tokens_max`, for a stream too; 0 where nobody said.
    """

    id: int
    pool: str
    deadline: float
    service_class: ServiceClass = ServiceClass.INTERACTIVE
    tenant: str = ""
    fallbacks: tuple[str, ...] = ()
    whole_tokens_max: int = 0
    priority: int = PRIORITY
    prompt_tokens: int = 0
    output_tokens_max: int = 0
    share: float = 1.0


class RefusalReason(StrEnum):
    """Why a ticket got no replica. The value is the `code` a client reads (docs/reference/errors.md)."""

    QUEUE_FULL = "queue_full"
    RATE_LIMITED = "rate_limit_exceeded"
    QUEUE_TIMEOUT = "queue_timeout"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    MODEL_LOADING = "model_loading"
    NO_HEALTHY_REPLICA = "no_healthy_replica"
    NO_CAPACITY = "no_capacity"
    DRAINING = "draining"
    OVERLOADED = "server_is_overloaded"
    MODEL_NOT_FOUND = "model_not_found"
    UPSTREAM_LOST = "upstream_lost"


class FailureKind(StrEnum):
    """What went wrong between the gateway and a replica, by what may be concluded from it.

    `NOT_SENT`: the request never reached the replica (refused, reset before a byte went out), so a retry is free.
    `LOST`: the connection ended before the answer did. `TIMEOUT`: no first token, or too long a gap.
    `INVALID`: an answer that is no answer. `ERROR`: the replica said 5xx. `BUSY`: it said 429, or 503 and when to come back.
    `STRANGER`: it answered as another model, so it is not what it was taken for.
    `DENIED`: it will not serve *us* (our key, our quota): the same again is in vain, and the replica itself is well.
    """

    NOT_SENT = "not_sent"
    LOST = "lost"
    TIMEOUT = "timeout"
    INVALID = "invalid"
    ERROR = "error"
    BUSY = "busy"
    DENIED = "denied"
    STRANGER = "stranger"


class FallbackCause(StrEnum):
    """Why another model is to answer: nobody here can (`failure`), there is no room (`overload`), or only after longer
    than the class is patient (`patience`). `canary`: nothing is wrong, it is tried."""

    FAILURE = "failure"
    OVERLOAD = "overload"
    PATIENCE = "patience"
    CANARY = "canary"
