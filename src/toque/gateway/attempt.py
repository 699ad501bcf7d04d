"""One call to one replica on behalf of a relay. A retry is a new attempt, so nothing of an old one can leak into it.

Law: what is no answer is recognised before a byte of it reaches the client; bytes of an answer pass as they came, once
`events` has looked at them.
"""

from abc import abstractmethod
from typing import Protocol

from toque.gateway.events import EventStream, StreamFaultError, find_usage
from toque.gateway.identity import is_from_another
from toque.gateway.outlet import EVENT_STREAM, Write
from toque.gateway.verdict import ERROR_BYTES_MAX, Verdict, broken, judge, lost, stranger
from toque.model.ticket import FailureKind
from toque.wire.client import Call, Headers

SCAN_BYTES = 4096
"""Of a large answer, this much at both ends is kept to find its usage in."""


class Customer(Protocol):
    """Whoever wanted the answer (a relay)."""

    def begin(self, content_type: bytes, length: int | None) -> Write | None:
        """An answer begins; `length` None: nobody knows how long it will be.

        Returns what passes on bytes that are framed as whole chunks, once others were passed on; None: the client takes none.
        """
        ...

    def pass_on(self, data: bytes) -> None:
        """Bytes of the answer, for the client."""
        ...

    def answered(self, prompt_tokens: int, output_tokens: int) -> None:
        """The answer is complete."""
        ...

    def answered_at_once(self, content_type: bytes, body: bytes, prompt_tokens: int, output_tokens: int) -> None:
        """The whole answer, instead of `begin`, `pass_on` and `answered`."""
        ...

    def failed(self, verdict: Verdict) -> None:
        """There is no (more) answer."""
        ...


class Attempt(Call):
    """The part that both kinds of answer share: its head, its refusal, its loss.

    `has_begun`: bytes went to the client. `moved`: something came since the relay last looked and cleared it.
    """

    __slots__ = ("_held_bytes_max", "_refusal", "_status", "customer", "has_begun", "headers", "moved")

    content_type = b""

    headers: Headers  # once they are here

    def __init__(self, customer: Customer, *, held_bytes_max: int = 0) -> None:
        """`held_bytes_max`: of a plain answer."""
        self.carrier = None  # what super() would do in 0.1 us
        self.customer = customer
        self._held_bytes_max = held_bytes_max
        self._status = 0
        self._refusal: bytearray | None = None
        self.has_begun = False
        self.moved = False

    def on_head(self, status: int, headers: Headers) -> None:
        """Tell an answer from a refusal."""
        self._status = status
        self.headers = headers
        self.moved = True
        if status != 200:
            self._refusal = bytearray()
        elif not self._is_answer(headers):
            self._give_up(broken())

    def _is_answer(self, headers: Headers) -> bool:
        return headers.get(b"content-type", b"").startswith(self.content_type) and b"content-encoding" not in headers

    def on_body(self, data: bytes) -> None:
        """Pass on, or collect a refusal up to its bound."""
        if self._refusal is None:
            self.moved = True
            self.take(data)
        elif len(self._refusal) < ERROR_BYTES_MAX:
            self._refusal += data

    def on_end(self) -> None:
        """The answer, or the refusal, is over."""
        if self._refusal is None:
            self.finish()
        else:
            self.customer.failed(judge(self._status, self.headers, bytes(self._refusal)))

    def on_lost(self, kind: FailureKind) -> None:
        """The connection is gone, or never was. A refusal counts even if its text is not whole."""
        if self._refusal is None:
            self.customer.failed(lost(kind))
        else:
            self.customer.failed(judge(self._status, self.headers, bytes(self._refusal)))

    def said_all(self) -> tuple[int, int] | None:
        """Return prompt and output tokens once the whole answer was passed on, though the body has not ended yet."""
        return None

    @abstractmethod
    def take(self, data: bytes) -> None:
        """Bytes of an answer."""

    @abstractmethod
    def finish(self) -> None:
        """The body of an answer has ended."""

    def _give_up(self, verdict: Verdict) -> None:
        self.abort()
        self.customer.failed(verdict)


class StreamAttempt(Attempt):
    """An answer in server-sent events: whole events are passed on as they come."""

    __slots__ = ("_events", "_familiar", "_model", "_pass_chunks")

    content_type = b"text/event-stream"

    def __init__(self, customer: Customer, *, keeps_usage: bool, model: str = "") -> None:
        """`model`: the name that its events must carry (empty: any)."""
        super().__init__(customer)
        self._events = EventStream(keeps_usage=keeps_usage)
        self._familiar = self._events.familiar
        self._pass_chunks: Write | None = None
        self._model = model

    def takes_chunks(self, data: bytes) -> bool:
        """Pass familiar chunks on as they are: almost all of a stream, once it has begun."""
        pass_chunks = self._pass_chunks
        if pass_chunks is None or not self._familiar.match(data):
            return False
        self.moved = True
        pass_chunks(data)
        return True

    def take(self, data: bytes) -> None:
        """Pass whole events on."""
        try:
            data = self._events.feed(data)
        except StreamFaultError as fault:
            self._fail(fault, unreadable=broken())
            return
        if data:
            if not self.has_begun:
                if self._model and is_from_another(data, self._model.encode()):
                    self._give_up(stranger())
                    return
                self._begin()
            self.customer.pass_on(data)

    def said_all(self) -> tuple[int, int] | None:
        """`[DONE]` says so."""
        events = self._events
        return (events.prompt_tokens, events.output_tokens) if events.is_done() else None

    def finish(self) -> None:
        """A stream that ends without its end is a failure, however cleanly the connection closed."""
        events = self._events
        try:
            rest = events.rest()
        except StreamFaultError as fault:
            self._fail(fault, unreadable=lost(FailureKind.LOST))  # cut in the middle of its last event
            return
        if rest:
            self._pass_on(rest)
        if not events.is_whole():
            self.customer.failed(lost(FailureKind.LOST))
            return
        if not events.is_done():
            self._pass_on(b"data: [DONE]\n\n")
        self.customer.answered(events.prompt_tokens, events.output_tokens)

    def _fail(self, fault: StreamFaultError, unreadable: Verdict) -> None:
        """Pass on what came well, and then be like any other replica that failed."""
        if fault.passed:
            self._pass_on(fault.passed)
        self._give_up(judge(fault.status, self.headers, fault.body) if fault.status else unreadable)

    def _begin(self) -> None:
        self.has_begun = True
        self._pass_chunks = self.customer.begin(EVENT_STREAM, None)

    def _pass_on(self, data: bytes) -> None:
        if not self.has_begun:
            self._begin()
        self.customer.pass_on(data)


class PlainAttempt(Attempt):
    """An answer in one JSON object, held until it is whole so that a loss can still be retried; a large one is not."""

    __slots__ = ("_first", "_held", "_held_bytes", "_last")

    content_type = b"application/json"

    _held: list[bytes]  # of an answer that is not whole at once: its pieces so far
    _held_bytes: int
    _first: bytes  # once an answer is too large to hold: its two ends so far
    _last: bytes

    def on_head(self, status: int, headers: Headers) -> None:
        """Begin to hold."""
        self._held, self._held_bytes = [], 0
        super().on_head(status, headers)

    def wants_whole(self, status: int, headers: Headers) -> bool:
        """An answer, and nothing that is wrong with it."""
        return status == 200 and self._is_answer(headers)

    def on_whole(self, body: bytes) -> None:
        """Answer in one piece."""
        if body:
            prompt_tokens, output_tokens = find_usage(body)
            self.customer.answered_at_once(self.content_type, body, prompt_tokens, output_tokens)
        else:
            self.customer.failed(broken())

    def take(self, data: bytes) -> None:
        """Hold, or pass on what is too large to hold."""
        if self.has_begun:
            self._last = (self._last + data)[-SCAN_BYTES:]
            self.customer.pass_on(data)
            return
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > self._held_bytes_max:
            self._stop_holding()

    def _stop_holding(self) -> None:
        held = b"".join(self._held)
        self._first, self._last = held[:SCAN_BYTES], held[-SCAN_BYTES:]
        length = self.headers.get(b"content-length")
        self.has_begun = True
        self.customer.begin(self.content_type, None if length is None else int(length))
        self.customer.pass_on(held)

    def finish(self) -> None:
        """Answer in one piece, or end a large answer."""
        if self.has_begun:
            self.customer.answered(*find_usage(self._first + b" " + self._last))
            return
        self.on_whole(self._held[0] if len(self._held) == 1 else b"".join(self._held))
