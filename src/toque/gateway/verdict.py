"""What to make of a replica that did not answer: what the fleet shall conclude, and what the client shall read.

Law: of what an upstream wrote, only the message of a caller's error is passed on, and that without keys and addresses.
"""

import re
from email.utils import parsedate_to_datetime

import msgspec

from toque.model.errors import CallerError, RefusedError, ToqueError, UpstreamError
from toque.model.ticket import FailureKind, RefusalReason
from toque.model.value import value
from toque.wire.client import Headers

ERROR_BYTES_MAX = 64 * 1024
"""Bytes of an upstream's error body that are looked at."""
MESSAGE_CHARACTERS_MAX = 1000
RETRY_AFTER_S_MAX = 60.0

_SECRETS = re.compile(
    r"https?://\S+"  # addresses
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"
    r"|\b0x[0-9a-fA-F]{6,}\b"
    r"|\b(?:sk|tq|key|hf)[-_][A-Za-z0-9_*.-]{6,}"  # keys, also half hidden ones
    r"|\b[Bb]earer\s+\S+"
    r"|(?<![\w/])/(?:[\w.-]+/)+[\w.-]*"  # paths
)


@value
class Verdict:
    """`kind` None: the replica did its part, and the fleet has nothing to conclude."""

    kind: FailureKind | None
    error: ToqueError


class _Detail(msgspec.Struct):
    message: str = ""
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


class _ErrorBody(msgspec.Struct):
    error: _Detail


_decode = msgspec.json.Decoder(_ErrorBody).decode


def lost(kind: FailureKind) -> Verdict:
    """The connection ended, or never came about."""
    if kind is FailureKind.INVALID:
        return broken()
    if kind is FailureKind.BUSY:  # it is us who had no descriptor left
        return Verdict(None, RefusedError(RefusalReason.OVERLOADED, 1.0))
    message = "The replica was lost before it had answered completely. Try again."
    if kind is FailureKind.NOT_SENT:
        message = "The replica could not be reached. Try again."
    return Verdict(kind, UpstreamError(message))


def broken() -> Verdict:
    """It answered, but not in the way that was asked for."""
    error = UpstreamError("The replica's answer could not be understood.", code="upstream_invalid_response")
    return Verdict(FailureKind.INVALID, error)


def stranger() -> Verdict:
    """It answered as another model: whoever asked this one must not get it, and nobody else either."""
    message = "The replica answered as another model. Its operator must see to it; try again."
    return Verdict(FailureKind.STRANGER, UpstreamError(message, code="upstream_invalid_response"))


def no_first_token() -> Verdict:
    """It took the request and said nothing."""
    message = "The replica did not begin to answer in time. Try again, or ask for less."
    return Verdict(FailureKind.TIMEOUT, UpstreamError(message, status=504, code="ttft_timeout"))


def no_next_token() -> Verdict:
    """It fell silent in the middle."""
    message = "The replica fell silent in the middle of its answer. Try again."
    return Verdict(FailureKind.TIMEOUT, UpstreamError(message, status=504, code="inter_token_timeout"))


def too_late() -> UpstreamError:
    """The caller's own deadline passed in the middle; the replica is not to blame."""
    message = "The deadline of this request passed before its answer was complete. Allow more time, or ask for less."
    return UpstreamError(message, status=504, code="deadline_exceeded")


def judge(status: int, headers: Headers, body: bytes) -> Verdict:
    """Make something of an answer that is not 200.

    1. Our key is wrong: nothing the caller could do, but another model may answer. 2. It is busy: 429 or 503 (one that does not say until when has
    failed). 3. It failed: any other 5xx. 4. The caller's request is wrong: passed on. 5. Anything else (a redirect, above
    all) is no answer.
    """
    if status in {401, 403}:  # 1
        message = "The upstream did not accept this server's own key; its operator must renew it."
        return Verdict(FailureKind.DENIED, UpstreamError(message, code="upstream_invalid_response"))
    if status in {429, 503}:  # 2
        return _busy(status, headers, body)
    if status >= 500:  # 3
        return Verdict(FailureKind.ERROR, UpstreamError("The replica failed while it answered. Try again."))
    if status >= 400:  # 4
        return Verdict(None, _callers_error(status, _detail(body)))
    return broken()  # 5


def _busy(status: int, headers: Headers, body: bytes) -> Verdict:
    retry_after_s = _retry_after_s(headers)
    if status == 503:
        message = "The replica is overloaded. Try again after Retry-After."
        error = UpstreamError(message, status=503, code="server_is_overloaded", retry_after_s=retry_after_s or 1.0)
        return Verdict(FailureKind.BUSY if retry_after_s else FailureKind.ERROR, error)
    if _detail(body).code == "insufficient_quota":  # waiting does not help, and another replica has the same account
        message = "The upstream's account has no quota left; this server's operator must see to it."
        return Verdict(FailureKind.DENIED, UpstreamError(message, status=429, code="rate_limit_exceeded"))
    message = "The upstream limits the rate of requests. Try again later."
    error = UpstreamError(message, status=429, code="rate_limit_exceeded", retry_after_s=retry_after_s)
    return Verdict(FailureKind.BUSY, error)


def _callers_error(status: int, detail: _Detail) -> CallerError:
    message = _SECRETS.sub("[hidden]", detail.message)[:MESSAGE_CHARACTERS_MAX] or f"The model refused this ({status})."
    code = detail.code if isinstance(detail.code, str) else "invalid_value"
    if detail.type == "exceed_context_size_error":  # llama.cpp's name for it
        code = "context_length_exceeded"
    return CallerError(message, status=status, code=code, param=detail.param or "")


def _detail(body: bytes) -> _Detail:
    try:
        return _decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Detail()


def _retry_after_s(headers: Headers) -> float:
    """Read Retry-After: seconds, or a date, which counts from the answer's own Date. 0: it said nothing of use."""
    text = headers.get(b"retry-after", b"").decode("latin-1")
    try:
        wait_s = float(text) if text.isdigit() else _between(headers.get(b"date", b"").decode("latin-1"), text)
    except (ValueError, TypeError):
        return 0.0
    return min(max(wait_s, 0.0), RETRY_AFTER_S_MAX)


def _between(earlier: str, later: str) -> float:
    return (parsedate_to_datetime(later) - parsedate_to_datetime(earlier)).total_seconds()
