"""The error tree, split by whose fault it is.

    ToqueError
    |- CallerError      the request or the configuration is wrong; repeating it changes nothing
    |- LimitedError     the caller has had its share for now; try again later
    |- RefusedError     we lack capacity; try again later
    |- UpstreamError    a replica or a hosted API failed
    |- DriverError      a replica could not be started or stopped
    `- InternalError    our own bug

Law: every error knows its HTTP status, type and code, and its message says what to do next. Nothing internal (path,
address, upstream URL, key) is in a message.
"""

from toque.model.ticket import FailureKind, RefusalReason


class ToqueError(Exception):
    """Any error of ours. `retry_after_s` 0: waiting does not help. `param` names the field at fault.

    `tenant`, `model` and `service_class` are for records: what was known of the request it ended, in names of ours.
    """

    status = 500
    type = "api_error"
    code = "internal_error"
    tenant = ""
    model = ""
    service_class = ""

    def __init__(self, message: str, *, code: str = "", param: str = "", retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        if code:
            self.code = code


class CallerError(ToqueError):
    """The caller must change something."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        error_type: str = "",
        code: str = "",
        param: str = "",
        retry_after_s: float = 0.0,
    ) -> None:
        super().__init__(message, code=code, param=param, retry_after_s=retry_after_s)
        self.status = status
        if error_type:
            self.type = error_type


class ConfigError(CallerError):
    """A configuration cannot be used. `where` is `file:line` when known, `fix` says what to write instead."""

    code = "invalid_config"

    def __init__(self, message: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(message)
        self.where = where
        self.fix = fix

    def told(self) -> str:
        """Everything in one line: what is wrong, where, and what to write instead."""
        return " ".join(part for part in (self.message, self.where and f"({self.where})", self.fix) if part)


class LimitedError(ToqueError):
    """The caller has had what it may have for now: of its key's limits, or of spare capacity that it asked for.

    `fields` are header fields of its answer that say how far the limits are used up, each with its CRLF.
    """

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"
    fields = b""


class RefusedError(ToqueError):
    """The fleet refused a ticket; `REFUSALS` says what each reason means to a client, `fallback` why nobody else took it."""

    status = 503
    type = "service_unavailable_error"

    def __init__(self, reason: RefusalReason, retry_after_s: float = 0.0, fallback: str = "") -> None:
        status, type_, message = REFUSALS[reason]
        super().__init__(message + tell_fallback(fallback), code=reason.value, retry_after_s=retry_after_s)
        self.status = status
        self.type = type_
        self.reason = reason


class UpstreamError(ToqueError):
    """A replica failed: `upstream_invalid_response`, `upstream_lost`, `ttft_timeout` or `inter_token_timeout`.

    429 and 503 are a replica's own word for being busy, and are passed on as what they are. `kind` says what may be
    concluded about the replica.
    """

    kind = FailureKind.LOST

    status = 502
    type = "upstream_error"
    code = "upstream_lost"

    def __init__(self, message: str, *, status: int = 502, code: str = "", retry_after_s: float = 0.0) -> None:
        super().__init__(message, code=code, retry_after_s=retry_after_s)
        self.status = status
        self.type = _UPSTREAM_TYPES.get(status, self.type)


def tell_fallback(why: str) -> str:
    """Say at the end of a message why no fallback took a request; empty where none was set."""
    return f" No fallback took it: {why}." if why else ""


_UPSTREAM_TYPES = {429: "rate_limit_error", 503: "service_unavailable_error", 504: "timeout_error"}


class DriverError(ToqueError):
    """A replica could not be started or stopped."""

    status = 503
    type = "service_unavailable_error"
    code = "no_healthy_replica"


class InternalError(ToqueError):
    """A bug of ours."""


_BUSY = "service_unavailable_error"
REFUSALS: dict[RefusalReason, tuple[int, str, str]] = {
    RefusalReason.QUEUE_FULL: (503, _BUSY, "The waiting line of this model is full. Try again after Retry-After."),
    RefusalReason.RATE_LIMITED: (
        429,
        "rate_limit_error",
        "The waiting line is full, and more requests of this key wait in it than of others. Try again after Retry-After.",
    ),
    RefusalReason.QUEUE_TIMEOUT: (
        503,
        _BUSY,
        "No slot became free within the longest allowed wait. Try again after Retry-After.",
    ),
    RefusalReason.DEADLINE_EXCEEDED: (
        504,
        "timeout_error",
        "The deadline of this request passed while it waited. Allow more time or send less load.",
    ),
    RefusalReason.MODEL_LOADING: (
        503,
        _BUSY,
        "The model is still loading. Try again after Retry-After.",
    ),
    RefusalReason.NO_HEALTHY_REPLICA: (
        503,
        _BUSY,
        "No replica of this model is healthy. `toque ps` on the server says why. Try again after Retry-After.",
    ),
    RefusalReason.NO_CAPACITY: (
        503,
        _BUSY,
        "This model does not fit into the free capacity now. `toque why` on the server says what is missing.",
    ),
    RefusalReason.DRAINING: (503, _BUSY, "This server is shutting down. Send the request to another one."),
    RefusalReason.OVERLOADED: (
        503,
        _BUSY,
        "This server protects itself: it is short of memory, time or connections. Try again after Retry-After.",
    ),
    RefusalReason.MODEL_NOT_FOUND: (
        404,
        "invalid_request_error",
        "There is no such model here. GET /v1/models lists those your key may use.",
    ),
    RefusalReason.UPSTREAM_LOST: (
        502,
        "upstream_error",
        "The replica was lost before it answered, and so was the retry. Try again.",
    ),
}
