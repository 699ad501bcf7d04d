"""The door: what is found out about an inference request before it costs anybody anything.

Law: the key comes first; then the form; then what is asked. A refusal at the door has made no ticket.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from toque.gateway.accounts import Reservation, Tab
from toque.gateway.auth import Caller, KeyRing, check_model
from toque.gateway.errand import Errand, prompt_tokens
from toque.gateway.openai import SHAPES, Ask, BodyReader
from toque.gateway.rank import Rank, find_rank, read_urgency
from toque.model.errors import CallerError, LimitedError
from toque.model.ticket import ServiceClass
from toque.ports import Dialect
from toque.wire.client import Headers
from toque.wire.request import Request

TIMEOUT_MS_MAX: Final = 24 * 3600 * 1000

_LOOKED_AT: Final = frozenset({b"traceparent", b"x-toque-timeout-ms", b"priority"})
"""Of the fields that may vary in a familiar head (`wire.request.SAYS_MORE` may not), those that an entry was made from."""
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT: Final = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Entry:
    """What the head of a request says, and the keys it was checked with. It stays true while these are the keys.

    `fields` are header fields for the replica, each with its CRLF; `urgency` is what a Priority field asks for.
    At `until` the key has expired, by the fleet's clock.
    """

    keys: KeyRing
    caller: Caller
    fields: bytes
    timeout_s: float
    urgency: int | None
    until: float


class Door:
    """One for all paths: it knows the keys, what each model's replicas understand, and who may answer instead."""

    def __init__(self, keys: KeyRing, dialects: Mapping[str, Dialect], request_s: float) -> None:
        self._keys = keys
        self._request_s = request_s
        self._dialects = dialects
        self._may_fall_back = keys.ways.models
        self._readers = {path: BodyReader(path, dialects) for path in SHAPES}

    def identify(self, request: Request) -> Caller:
        """Find the caller. Raises `CallerError` (401)."""
        return self._keys.identify(request.head.headers)

    def admit(self, request: Request, path: str, request_id: bytes, now: float) -> Errand:
        """Check a request to one of the inference paths. Raises `CallerError`, and `LimitedError` for a key that had its part.

        A head that came before on its connection, and passed, is not looked at again, unless something else stands in a field
        that counts here.
        """
        head = request.head
        entry = head.notes
        if (
            not isinstance(entry, Entry)
            or entry.keys is not self._keys
            or now >= entry.until
            or not head.varied.isdisjoint(_LOOKED_AT)
        ):
            head.notes = entry = self._enter(head.headers, now)
        caller = entry.caller
        reader = self._readers[path]
        try:
            ask = reader.read(request.body, caller.rights.best)
            check_model(caller, ask.model)
        except CallerError as error:
            error.tenant, error.service_class = caller.tenant, caller.rights.usual.service_class.value
            raise
        rank, asks_rank = caller.rights.usual, ask.wish is not None or entry.urgency is not None
        if asks_rank:
            rank = find_rank(caller.rights, ask.wish, entry.urgency)
        until = now + entry.timeout_s
        errand = Errand(ask, path, entry.fields, request_id, caller.tenant, rank, caller.share, now, until, asks_rank)
        if ask.model in self._may_fall_back or caller.tab is not None:
            return self._complete(errand, caller, request.body)
        return errand

    def look_at(self, tenant: str, path: str, body: bytes) -> tuple[Caller, Ask]:
        """Check a request that has no head: the item of a tenant's batch. Raises `CallerError`."""
        caller = self._keys.find(tenant)
        ask = self._readers[path].read(body, caller.rights.best)
        if ask.streams:
            raise CallerError("A batch takes no streams; leave `stream` out.", param="stream")
        check_model(caller, ask.model)
        return caller, ask

    def admit_item(self, tenant: str, path: str, body: bytes, request_id: bytes, now: float) -> Errand:
        """Admit an item of a tenant's batch. Raises as `admit`, also when the tenant's key is gone."""
        caller, ask = self.look_at(tenant, path, body)
        rank = Rank(ServiceClass.BATCH, caller.rights.usual.priority)
        until = now + self._request_s
        errand = Errand(ask, path, b"", request_id, caller.tenant, rank, caller.share, now, until)
        return self._complete(errand, caller, body, is_item=True)

    def _enter(self, headers: Headers, now: float) -> Entry:
        caller = self._keys.identify(headers)
        check_form(headers)
        timeout_s, urgency = min(self._request_s, _timeout_s(headers)), read_urgency(headers.get(b"priority"))
        return Entry(self._keys, caller, _trace(headers), timeout_s, urgency, now + self._keys.left_s(caller))

    def _complete(self, errand: Errand, caller: Caller, body: bytes, *, is_item: bool = False) -> Errand:
        """Add who may answer instead, and last of all what the limits of its key set aside for it. Raises `LimitedError`."""
        model = errand.ask.model
        if model in self._may_fall_back:
            errand.fallbacks = self._fallbacks(caller, errand.path, model)
            errand.ask_instead = partial(self._readers[errand.path].read, body, caller.rights.best)
        if caller.tab is not None:
            errand.reservation = _reserve(errand, caller.tab, is_item=is_item)
        return errand

    def _fallbacks(self, caller: Caller, path: str, model: str) -> tuple[str, ...]:
        """Which models may answer instead: those that the key covers and that answer this path."""
        return tuple(name for name in self._keys.fallbacks(caller, model) if path in self._dialects[name].routes)


def _reserve(errand: Errand, tab: Tab, *, is_item: bool) -> Reservation:
    ask = errand.ask
    try:
        return tab.reserve(ask.model, prompt_tokens(ask), ask.tokens_max, is_item=is_item)
    except LimitedError as error:
        error.tenant, error.model = errand.tenant, ask.model
        error.service_class = errand.rank.service_class.value
        raise


def name_request(headers: Headers) -> bytes:
    """Return the client's own request id if it is harmless, else a new one."""
    sent = headers.get(b"x-request-id")
    if sent is not None and _REQUEST_ID.fullmatch(sent):
        return sent
    return b"req-%016x" % random.getrandbits(64)


def check_form(headers: Headers) -> None:
    """Raise `CallerError` (415) unless the body is plain JSON."""
    media_type = headers.get(b"content-type", b"")
    if media_type != b"application/json" and media_type.partition(b";")[0].strip().lower() != b"application/json":
        raise _unsupported("Send the body as application/json.")
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise _unsupported("Send the body without a Content-Encoding.")


def _unsupported(message: str) -> CallerError:
    return CallerError(message, status=415, code="unsupported_media_type")


def _timeout_s(headers: Headers) -> float:
    """Read `x-toque-timeout-ms`. Raises `CallerError` for what is no number of milliseconds above 0."""
    text = headers.get(b"x-toque-timeout-ms")
    if text is None:
        return TIMEOUT_MS_MAX / 1000
    if not text.isdigit() or not 0 < int(text[:12]) <= TIMEOUT_MS_MAX:
        raise CallerError(
            f"x-toque-timeout-ms must be a number from 1 to {TIMEOUT_MS_MAX}.", param="x-toque-timeout-ms"
        )
    return int(text) / 1000


def _trace(headers: Headers) -> bytes:
    """The only header field of the client's that reaches a replica: a well-formed trace."""
    trace = headers.get(b"traceparent")
    return b"traceparent: %b\r\n" % trace if trace is not None and _TRACEPARENT.fullmatch(trace) else b""
