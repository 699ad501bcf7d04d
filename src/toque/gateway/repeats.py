"""Repeats: one answer for all requests that carry the same Idempotency-Key, for clients that retry what costs money.

Law: only who sends the header pays for this. Bounded in number and bytes, the oldest answers go first; a key is its tenant's
own. Only whole answers are kept: what failed may be tried again under the same key.
"""

import hashlib
import re
from collections import OrderedDict
from typing import TypeAlias

from toque.gateway.errand import Errand
from toque.gateway.outlet import ClientOutlet
from toque.model.errors import CallerError, ToqueError
from toque.model.service_spec import LimitSpec
from toque.model.value import value
from toque.wire.incoming import Incoming

IDEMPOTENCY_KEY = b"idempotency-key"
REPLAYED = b"idempotent-replayed: true\r\n"

_WELL_FORMED = re.compile(rb"[\x21-\x7e][\x20-\x7e]{0,254}")
_Name: TypeAlias = tuple[str, bytes]


@value
class Kept:
    """An answer, the request it was for, and until when it is kept."""

    fingerprint: bytes
    expires_at: float
    content_type: bytes
    body: bytes


class Repeats:
    """Answers by tenant and key, and the requests that are under way."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Name, Kept] = OrderedDict()
        self._under_way: dict[_Name, bytes] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept) + len(self._under_way)

    def admit(self, key: bytes, errand: Errand, body: bytes, limits: LimitSpec) -> "Kept | Promise":
        """Return the answer that is kept, or a promise to keep the one to come.

        Raises `CallerError`: 1. the key or the request cannot be had so (400); 2. another request had this key (422); 3.
        the same one is being answered (409).
        """
        now = errand.arrived_at
        _check(key, errand)  # 1
        self._forget(now)
        name = (errand.tenant, key)
        fingerprint = hashlib.sha256(errand.path.encode("ascii") + b"\0" + body).digest()
        kept = self._kept.get(name)
        known = kept.fingerprint if kept else self._under_way.get(name, fingerprint)
        if known != fingerprint:  # 2
            raise _mismatch()
        if kept is not None:
            return kept
        if name in self._under_way:  # 3
            raise _in_progress()
        self._under_way[name] = fingerprint
        return Promise(self, name, limits, now + limits.idempotency_s)

    def end(self, name: _Name, expires_at: float, answer: tuple[bytes, bytes] | None, limits: LimitSpec) -> None:
        """A request that was under way has ended; keep its answer, if it has one and it is not too large."""
        fingerprint = self._under_way.pop(name)
        if answer is None or len(answer[1]) > limits.stream_buffer_bytes:
            return
        self._kept[name] = Kept(fingerprint, expires_at, *answer)
        self._bytes += len(answer[1])
        while self._bytes > limits.idempotency_bytes_max or len(self._kept) > limits.idempotency_answers_max:
            self._drop_oldest()

    def _forget(self, now: float) -> None:
        while self._kept and next(iter(self._kept.values())).expires_at <= now:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, kept = self._kept.popitem(last=False)
        self._bytes -= len(kept.body)


class Promise:
    """Keeps the answer to one request, once."""

    def __init__(self, repeats: Repeats, name: _Name, limits: LimitSpec, expires_at: float) -> None:
        self._repeats: Repeats | None = repeats
        self._name = name
        self._limits = limits
        self._expires_at = expires_at

    def keep(self, content_type: bytes, body: bytes) -> None:
        """This is the whole answer."""
        self._end((content_type, body))

    def drop(self) -> None:
        """There is none, or it is not to be kept."""
        self._end(None)

    def _end(self, answer: tuple[bytes, bytes] | None) -> None:
        repeats, self._repeats = self._repeats, None
        if repeats is not None:
            repeats.end(self._name, self._expires_at, answer, self._limits)


class KeepingOutlet(ClientOutlet):
    """An outlet whose answer is kept."""

    __slots__ = ("_promise",)

    def __init__(self, connection: Incoming, request_id: bytes, promise: Promise, *, is_chunked: bool) -> None:
        super().__init__(connection, request_id, is_chunked=is_chunked)
        self._promise = promise

    def answer(self, content_type: bytes, fields: bytes, body: bytes) -> None:
        """Send a whole answer, and keep it."""
        self._promise.keep(content_type, body)
        super().answer(content_type, fields, body)

    def end(self) -> None:
        """An answer that was too large to hold is too large to keep."""
        self._promise.drop()
        super().end()

    def fail(self, error: ToqueError) -> None:
        """Say what went wrong; the key may be used again."""
        self._promise.drop()
        super().fail(error)

    def leave(self) -> None:
        """The client left; the key may be used again."""
        self._promise.drop()


def _check(key: bytes, errand: Errand) -> None:
    if not _WELL_FORMED.fullmatch(key):
        raise CallerError("Idempotency-Key must be 1 to 255 printable ASCII characters.", param="Idempotency-Key")
    if errand.ask.streams:
        raise CallerError(
            "A stream cannot be kept for an Idempotency-Key. Ask with stream: false, or leave the header out.",
            param="Idempotency-Key",
        )


def _mismatch() -> CallerError:
    return CallerError(
        "This Idempotency-Key was used for another request. Take a new key for a new request.",
        status=422,
        code="idempotency_mismatch",
        param="Idempotency-Key",
    )


def _in_progress() -> CallerError:
    return CallerError(
        "The request with this Idempotency-Key is still being answered. Try again after Retry-After.",
        status=409,
        code="idempotency_in_progress",
        param="Idempotency-Key",
        retry_after_s=1.0,
    )
