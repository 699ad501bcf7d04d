"""How an error is written to a client: the whole answer, or an event inside a stream that has begun.

Law: every error has the OpenAI shape with all four keys, an `x-request-id`, and says whether and when a retry may help.
"""

import math
from http import HTTPStatus

import msgspec

from toque.model.errors import CallerError, RefusedError, ToqueError

RETRY_AFTER_S_MAX = 60
"""OpenAI's SDKs ignore a Retry-After above 120 s and then do not retry at all."""

REASON_PHRASES = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}

_WORTH_A_RETRY = frozenset({408, 502})
_encode_json = msgspec.json.Encoder().encode


def encode_error_body(error: ToqueError) -> bytes:
    """Write `{"error": {"message", "type", "param", "code"}}`."""
    return _encode_json(
        {"error": {"message": error.message, "type": error.type, "param": error.param or None, "code": error.code}}
    )


def encode_error_event(error: ToqueError) -> bytes:
    """Write the error as a server-sent event; SDKs raise it, and take a stream without `[DONE]` for unfinished."""
    return b"data: %b\n\n" % encode_error_body(error)


def encode_error(error: ToqueError, request_id: bytes, *, closes: bool, fields: bytes = b"") -> bytes:
    """Write the whole HTTP answer. `closes` announces the end of the connection; `fields` are further header fields."""
    body = encode_error_body(error)
    head = (
        b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\nx-request-id: %b\r\n%b%b%bcontent-length: %d\r\n\r\n"
        % (
            error.status,
            REASON_PHRASES.get(error.status, b"Error"),
            request_id,
            fields,
            retry_fields(error),
            b"connection: close\r\n" if closes else b"",
            len(body),
        )
    )
    return head + body


def retry_fields(error: ToqueError) -> bytes:
    """Write Retry-After in whole seconds (at least 1) and in milliseconds, or that a retry cannot help, or nothing."""
    if error.retry_after_s > 0:
        wait_s = min(error.retry_after_s, float(RETRY_AFTER_S_MAX))
        return b"retry-after: %d\r\nretry-after-ms: %d\r\n" % (max(1, math.ceil(wait_s)), math.ceil(wait_s * 1000))
    is_ours = isinstance(error, CallerError | RefusedError)
    is_in_vain = error.status == 429 or (is_ours and error.status not in _WORTH_A_RETRY)
    return b"x-should-retry: false\r\n" if is_in_vain else b""
