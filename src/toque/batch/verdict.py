"""What an answer means for the item that asked: done, failed for good, or to be tried again.

Law: pure. An item is tried again at most `ATTEMPTS_MAX` times for what may be its own fault (B06), and for as long as its
batch lasts where we had no room (B07).
"""

import msgspec

from toque.batch.rows import ItemState, Outcome
from toque.model.batch import Answer, Lease, TokenCounts

ATTEMPTS_MAX = 3
RETRY_FIRST_S = 1.0
RETRY_S_MAX = 60.0
"""Between attempts: doubling from the first to this."""
_PASSING = frozenset({408, 409, 425, 429})
"""Statuses below 500 that say "not now" rather than "not like this"."""

_encode = msgspec.json.Encoder().encode


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


class _Answered(msgspec.Struct):
    usage: _Usage | None = None


_decode_answered = msgspec.json.Decoder(_Answered).decode


def judge(lease: Lease, answer: Answer) -> Outcome:
    """Say what becomes of an item.

    1. Answered. 2. We had no room: again, without counting. 3. The upstream failed: again while attempts are left.
    4. Refused for good, or out of attempts.
    """
    if answer.status == 200:  # 1
        return Outcome(lease, ItemState.COMPLETED, output_line(lease, answer), tokens=tokens_of(answer.body))
    if answer.is_capacity:  # 2
        return Outcome(lease, ItemState.WAITING, after_s=answer.retry_after_s or RETRY_FIRST_S, counts=False)
    is_passing = answer.status >= 500 or answer.status in _PASSING
    if is_passing and lease.attempts < ATTEMPTS_MAX:  # 3
        after_s = min(RETRY_S_MAX, RETRY_FIRST_S * 2 ** (lease.attempts - 1))
        return Outcome(lease, ItemState.WAITING, after_s=max(after_s, answer.retry_after_s))
    return Outcome(lease, ItemState.FAILED, output_line(lease, answer))  # 4


def tokens_of(body: bytes) -> TokenCounts:
    """Read what an answer says of its tokens; one that says nothing, or something odd, counts as none."""
    try:
        usage = _decode_answered(body).usage
    except (msgspec.DecodeError, RecursionError):
        usage = None
    if usage is None:
        return TokenCounts()
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else 0
    reasoning = usage.completion_tokens_details.reasoning_tokens if usage.completion_tokens_details else 0
    return TokenCounts(usage.prompt_tokens, cached or 0, usage.completion_tokens, reasoning or 0)


def output_line(lease: Lease, answer: Answer) -> bytes:
    """Write an answered item as a line of an output or error file, without the line's end."""
    return _line(
        lease.batch_id,
        lease.item.line,
        lease.item.custom_id,
        {"status_code": answer.status, "request_id": answer.request_id, "body": _raw(answer.body)},
        None,
    )


def expired_line(batch_id: str, line: int, custom_id: str) -> bytes:
    """Write an item that never ran within its batch's window as a line of an error file."""
    reason = "The completion window of the batch passed before this request was run."
    return _line(batch_id, line, custom_id, None, {"code": "batch_expired", "message": reason})


def _line(batch_id: str, line: int, custom_id: str, response: object, error: object) -> bytes:
    name = f"batch_req_{batch_id.removeprefix('batch-')}_{line}"
    return _encode({"id": name, "custom_id": custom_id, "response": response, "error": error})


def _raw(body: bytes) -> object:
    """Pass JSON on as it is; what is none becomes a text."""
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return body.decode("utf-8", "replace")
    return msgspec.Raw(body)
