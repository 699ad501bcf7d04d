"""One socket to a replica: it carries one call at a time, and is idle between two.

Law: aborting a call closes its socket at once, at every stage; nothing of an answer reaches another call.
"""

import asyncio
from operator import eq
from typing import Protocol, TypeAlias, cast

import httptools

from toque.model.ticket import FailureKind
from toque.wire.client import Call, Headers
from toque.wire.familiar import FamiliarHead

AnswerHead: TypeAlias = tuple[int, Headers]  # status and header fields

_NONE = cast(httptools.HttpResponseParser, None)  # of a closed connection
HEAD_BYTES_MAX = 64 * 1024
"""Head of an answer at most; real servers send under 2 KiB."""


class Home(Protocol):
    """Whoever opens connections and keeps the idle ones (`wire/connections.py`)."""

    def opened(self, connection: "Connection") -> None:
        """The socket is open."""
        ...

    def keep(self, connection: "Connection") -> None:
        """The connection is idle and may carry another call."""
        ...

    def closed(self, connection: "Connection") -> None:
        """The socket is gone."""
        ...

    def send_fresh(self, call: "Call", request: bytes) -> None:
        """Send `request` over a new connection."""
        ...


class Connection(asyncio.Protocol):
    """One socket to the replica, from before it is open until it is closed."""

    __slots__ = (
        "_call",
        "_ends_with_socket",
        "_familiar",
        "_has_ended",
        "_has_head",
        "_head_bytes",
        "_headers",
        "_home",
        "_is_between_chunks",
        "_is_interim",
        "_is_paused",
        "_keeps_alive",
        "_opening",
        "_parser",
        "_pieces",
        "_pieces_max",
        "_resend",
        "_transport",
        "on_body",
    )

    def __init__(self, home: Home) -> None:
        self._home = home
        self._pieces: list[bytes] = []
        self._pieces_max = 0  # those of the answer that has ended
        self.on_body = self._pieces.append  # the parser calls it for each piece of the body
        self._parser = httptools.HttpResponseParser(self)
        self._familiar: FamiliarHead[AnswerHead] = FamiliarHead(is_equal=eq)
        self._transport: asyncio.Transport | None = None
        self._opening: asyncio.Task[None] | None = None
        self._call: Call | None = None
        self._is_paused = self._is_interim = False
        self._resend = b""
        self._forget_answer()

    def _forget_answer(self) -> None:
        self._headers: Headers = {}
        self._head_bytes = 0
        self._has_head = self._has_ended = False
        self._keeps_alive = self._ends_with_socket = False
        self._is_between_chunks = False

    # ---- directed by its home and its call

    def open_for(self, call: Call, opening: "asyncio.Task[None]") -> None:
        """Belong to `call` while the task `opening` connects."""
        self._call = call
        self._opening = opening
        call.carrier = self

    def begin(self, request: bytes) -> None:
        """Open now, and to the right process: send what waited."""
        self._opening = None
        if self._call is not None and self._transport is not None:
            self._transport.write(request)

    def carry(self, call: Call, request: bytes) -> bool:
        """Send another request over this idle connection; False where it is closed, as far as this turn of the loop knows."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        self._call = call
        call.carrier = self
        # Kept until the first byte of an answer: the replica may be closing this idle connection just now.
        self._resend = request
        transport.write(request)
        return True

    def is_open(self) -> bool:
        """Whether the socket is open, as far as this turn of the loop knows."""
        return self._transport is not None and not self._transport.is_closing()

    def lose(self, kind: FailureKind) -> None:
        """Close, and tell the call why."""
        call = self._detach()
        self.close()
        if call is not None:
            call.on_lost(kind)

    def drop(self) -> None:
        """Close, and tell nobody: the call is not wanted any more."""
        self._detach()
        self.close()

    def close(self) -> None:
        """Close at once, unsent and unread bytes lost: that stops the replica soonest."""
        if self._opening is not None:
            self._opening.cancel()
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Stop reading."""
        if self.is_open() and not self._is_paused:
            self._is_paused = True
            cast(asyncio.Transport, self._transport).pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.is_open() and self._is_paused:
            self._is_paused = False
            cast(asyncio.Transport, self._transport).resume_reading()

    def _detach(self) -> Call | None:
        call, self._call = self._call, None
        self._is_between_chunks = False
        if call is not None:
            call.carrier = None
        return call

    # ---- called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open; asyncio and uvloop both have set TCP_NODELAY on it."""
        self._transport = cast(asyncio.Transport, transport)
        self._home.opened(self)

    def data_received(self, data: bytes) -> None:
        """Parse one read, and hand what is in it on in at most three calls; the call may abort itself in each of them."""
        call = self._call
        if call is None:  # nobody asked
            self.close()
        elif self._is_between_chunks and call.takes_chunks(data):
            pass  # the parser is between two chunks before and after, and need not know
        elif self._has_head or not self._recognises(data, call):
            self._parse(data, call)

    def _parse(self, data: bytes, call: Call) -> None:
        had_head = self._has_head
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.lose(FailureKind.INVALID)
            return
        body = self._take_body(data)
        if not had_head:
            self._tell_head(data, len(body), call)
        if body and self._call is call:
            call.on_body(body)
        if self._has_ended and self._call is call:
            self._end(call)

    def _take_body(self, data: bytes) -> bytes:
        """Take what the parser found in a read, and see whether the read ended where a chunk does that ended an event."""
        pieces = self._pieces
        if self._has_ended:
            del pieces[self._pieces_max :]  # what came after the end is nobody's
        # A last piece that went on to the end of the read would end so too: that is a chunk under way.
        ends_event = data.endswith(b"\n\n\r\n") and bool(pieces)
        self._is_between_chunks = ends_event and pieces[-1].endswith(b"\n\n")
        body = b"".join(pieces)
        pieces.clear()
        return body

    def _recognises(self, data: bytes, call: Call) -> bool:
        """Hand on a whole answer of a connection that stays open, or say that the first read is none that is known."""
        self._resend = b""
        familiar = self._familiar
        if familiar.meaning is None or self._head_bytes:
            return False
        body = familiar.body_of(data)
        if body is None:
            return False
        status, headers = familiar.meaning
        if familiar.varying:
            headers = {**headers, **familiar.texts()}
        if call.wants_whole(status, headers):
            self._set_free(call)
            call.on_whole(body)
            return True
        call.on_head(status, headers)
        if body and self._call is call:
            call.on_body(body)
        if self._call is call:
            self._set_free(call)
            call.on_end()
        return True

    def _tell_head(self, data: bytes, body_bytes: int, call: Call) -> None:
        """Hand the head on once it is whole; remember that of a whole answer."""
        if not self._has_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self.lose(FailureKind.INVALID)
            return
        head = (self._parser.get_status_code(), self._headers)
        if self._has_ended and self._keeps_alive and not self._head_bytes:
            self._familiar.learn(data, body_bytes, head)
        call.on_head(*head)

    def _end(self, call: Call) -> None:
        if self._keeps_alive:
            self._forget_answer()
            self._set_free(call)
        else:
            self._detach()
            self.close()
        call.on_end()

    def _set_free(self, call: Call) -> None:
        self._call = call.carrier = None
        if self._is_paused:
            self.resume()
        self._home.keep(self)

    def eof_received(self) -> bool:
        """The replica sends no more: an answer without a length is whole now."""
        if self._ends_with_socket:
            call = self._detach()
            if call is not None:
                call.on_end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone; why makes no difference."""
        self._home.closed(self)
        self._parser = _NONE  # it holds this connection: parted, both are freed without a collector
        call = self._detach()
        if call is None:
            return
        if self._resend:
            self._home.send_fresh(call, self._resend)
        else:
            call.on_lost(FailureKind.LOST if self._opening is None else FailureKind.NOT_SENT)

    # ---- called by the parser

    def on_message_begin(self) -> None:
        """A second answer in one read belongs to no call: this connection is out of step."""
        if self._has_ended:
            self._keeps_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field of the head. Trailers are not looked at."""
        if not self._has_head:
            name = name.lower()
            known = self._headers.get(name)
            self._headers[name] = value if known is None else b"%b, %b" % (known, value)

    def on_headers_complete(self) -> None:
        """The head is whole. An interim one (1xx) is passed over."""
        self._is_interim = self._parser.get_status_code() < 200
        if self._is_interim:
            self._headers = {}
            return
        self._has_head = True
        self._ends_with_socket = b"content-length" not in self._headers and b"transfer-encoding" not in self._headers

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one."""
        if not self._is_interim and not self._has_ended:
            self._has_ended = True
            self._pieces_max = len(self._pieces)
            self._keeps_alive = self._parser.should_keep_alive()
