"""Bytes to requests, without a socket: limits and the refusal of ambiguous HTTP are here.

Law: after a request that cannot be understood nothing more is read. Memory is bounded by the limits plus one read.
"""

from collections import deque
from collections.abc import Callable, Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final, cast

import httptools

from toque.model.errors import CallerError
from toque.model.service_spec import LimitSpec
from toque.wire.body_stream import BodyStream, Flow
from toque.wire.client import Headers
from toque.wire.familiar import FamiliarHead
from toque.wire.request import (
    Head,
    Request,
    add_repeated,
    body_too_large,
    check_head,
    check_head_bytes,
    malformed,
    too_many_header_bytes,
)

PIPELINE_MAX = 32
"""Requests read ahead of their turn; what comes beyond is dropped, and the connection ends after these."""
FRAMING_BYTES_MAX = 2**20
"""Chunk sizes, extensions and trailers of one body at most."""

_CONNECTION_FIELDS = frozenset({b"connection", b"upgrade", b"http2-settings"})


class Phase(IntEnum):
    """What the bytes that come next belong to."""

    BETWEEN = 0
    HEAD = 1
    BODY = 2


# Python 3.11 takes 0.07 us to find a member of an enumeration, and the hot path asks often.
_BETWEEN: Final = Phase.BETWEEN
_HEAD: Final = Phase.HEAD
_BODY: Final = Phase.BODY
_VERSIONS = frozenset({"1.1", "1.0"})
_NONE: Final = Head(b"", b"", {})
_NO_PARSER: Final = cast(httptools.HttpRequestParser, None)  # of a closed connection


class RequestReader:
    """Let it `recognise` what was read, else feed it; take what is complete from `ready`: requests in order, and at most one
    error, the last.

    `is_deaf` says that the connection shall end once `ready` is answered. `awaits_continue` says that the client sends
    its body only after a `100 Continue`.

    `streamed` says of which targets a POST is ready with its head, and how many bytes its body may have: `stream` takes
    them over `flow` while they come. Such a request is the last of its connection.
    """

    __slots__ = (
        "_body",
        "_body_bytes_max",
        "_earlier_bytes",
        "_familiar",
        "_head",
        "_headers",
        "_limits",
        "_parser",
        "_read_bytes",
        "_streamed",
        "_take",
        "_target",
        "_upgrades",
        "awaits_continue",
        "body_bytes",
        "flow",
        "is_deaf",
        "phase",
        "ready",
        "stream",
    )

    def __init__(self, limits: LimitSpec, streamed: Mapping[bytes, int] = MappingProxyType({})) -> None:
        self.ready: deque[Request | CallerError] = deque()
        self.is_deaf = False
        self.awaits_continue = False
        self.phase = _BETWEEN
        self.body_bytes = 0
        self.flow: Flow | None = None
        self.stream: BodyStream | None = None
        self._limits = limits
        self._streamed = streamed
        self._body_bytes_max = limits.body_bytes_max
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: Headers = {}
        self._head = _NONE  # of the request whose body is being read
        self._familiar: FamiliarHead[Head] = FamiliarHead(limits.header_bytes_max)
        self._body: list[bytes] = []
        self._take: Callable[[bytes], None] = self._body.append
        self._upgrades = False
        self._read_bytes = 0
        self._earlier_bytes = 0  # of the message under way, in reads before this one

    def recognise(self, data: bytes) -> Request | None:
        """Return the request if this read is a whole one whose head came before, and nothing comes before it.

        Else None, and nothing was taken: `feed` it.
        """
        familiar = self._familiar
        head = familiar.meaning
        if head is None or self.phase is not _BETWEEN or self.ready or self.is_deaf:
            return None
        body = familiar.body_of(data)
        if body is None or len(body) > self._limits.body_bytes_max:
            return None
        return Request(head.vary(familiar.texts()) if familiar.varying else head, body)

    def feed(self, data: bytes) -> None:
        """Parse one read."""
        if self.is_deaf:
            if self.stream is not None:
                self._parse(data)
            return
        is_between = self.phase is _BETWEEN and not self.ready
        self._parse(data)
        if is_between and self.phase is _BETWEEN and len(self.ready) == 1 and not self.is_deaf:
            self._learn(data, self.ready[0])

    def _learn(self, data: bytes, request: Request | CallerError) -> None:
        if isinstance(request, Request):
            self._familiar.learn(data, len(request.body), request.head)

    def _parse(self, data: bytes) -> None:
        self._read_bytes = len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._pass_over_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserCallbackError as failure:
            self.refuse(_cause(failure))
        except httptools.HttpParserError:
            self.refuse(malformed())
        self._earlier_bytes += len(data)
        if self._earlier_bytes > self._limits.header_bytes_max:
            self._check_size()

    def refuse(self, error: CallerError) -> None:
        """Let this error be the last that is answered; of a body under way, its reader is told."""
        if self.stream is not None:
            self.stream.fail(error)
            self.stream = None
        elif not self.is_deaf:
            self.is_deaf = True
            self.ready.append(error)

    def close(self) -> None:
        """Forget everything. Reader and parser hold each other; parted, their memory returns without a collector."""
        self.is_deaf = True
        self.ready.clear()
        self.stream = self.flow = None
        self._parser = _NO_PARSER

    def _check_size(self) -> None:
        if self.phase is _HEAD and self._earlier_bytes > self._limits.header_bytes_max + self._limits.url_bytes_max:
            self.refuse(too_many_header_bytes(self._limits))
        elif self._earlier_bytes > self._body_bytes_max + FRAMING_BYTES_MAX:
            self.refuse(body_too_large(self._body_bytes_max))

    def _pass_over_upgrade(self, rest: bytes) -> None:
        """Read the request as if it did not ask for an upgrade: some clients offer h2c with every first request."""
        head, self._upgrades = self._head, False
        if head.method == b"CONNECT":
            self.refuse(CallerError("This server is no proxy.", status=405, code="method_not_allowed"))
            return
        fields = [b"%b: %b\r\n" % field for field in head.headers.items() if field[0] not in _CONNECTION_FIELDS]
        rewritten = b"%b %b HTTP/1.1\r\n%b\r\n" % (head.method, head.target, b"".join(fields))
        self._parser = httptools.HttpRequestParser(self)
        self._parse(rewritten + rest)

    # ---- called by the parser

    def on_message_begin(self) -> None:
        """A request begins."""
        self.phase = _HEAD
        self._target = b""
        self._headers = {}
        self.body_bytes = 0

    def on_url(self, piece: bytes) -> None:
        """A piece of the target."""
        self._target += piece

    def on_header(self, name: bytes, content: bytes) -> None:
        """One header field."""
        headers, name = self._headers, name.lower()
        if name in headers:
            add_repeated(headers, name, content)
        else:
            headers[name] = content

    def on_headers_complete(self) -> None:
        """The head is whole: hold it to the rules before any of the body is taken."""
        parser, headers = self._parser, self._headers
        version = parser.get_http_version()
        self._head = head = Head(parser.get_method(), self._target, headers, is_http_1_0=version == "1.0")
        if version not in _VERSIONS:
            raise CallerError("This server speaks HTTP/1.1.")
        streamed = self._streamed.get(self._target) if head.method == b"POST" else None
        check_head(head, self._limits, streamed or self._limits.body_bytes_max)
        if self._earlier_bytes + self._read_bytes > self._limits.header_bytes_max:
            check_head_bytes(headers, self._limits)
        self.phase = _BODY
        self._headers = {}  # trailers go here, and nobody looks
        self._upgrades = parser.should_upgrade()
        self.awaits_continue = b"expect" in headers and headers[b"expect"].lower() == b"100-continue"
        if streamed and not self._upgrades and not self.is_deaf:
            self._begin_stream(head, streamed)

    def _begin_stream(self, head: Head, bytes_max: int) -> None:
        assert self.flow is not None, "there is a connection before there is a request"
        head.headers.pop(b"content-length", None)
        head.keeps_alive = False
        self.is_deaf = True
        self._body_bytes_max = bytes_max
        self.stream = BodyStream(self.flow, awaits_continue=self.awaits_continue)
        self._take = self.stream.append
        self.awaits_continue = False
        self.ready.append(Request(head, b"", self.stream))

    def _end_stream(self) -> None:
        if self.stream is not None:
            self.phase = _BETWEEN
            self.stream.end()
            self.stream = None
            self._take = self._body.append

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        self.body_bytes += len(piece)
        if self.body_bytes > self._body_bytes_max:
            raise body_too_large(self._body_bytes_max)
        self._take(piece)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._upgrades or self.is_deaf:
            self._end_stream()
            return
        self.phase = _BETWEEN
        self.awaits_continue = False
        self._earlier_bytes = -self._read_bytes
        head, pieces = self._head, self._body
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._head = _NONE  # an idle connection keeps nobody's head and body
        pieces.clear()
        head.headers.pop(b"content-length", None)
        head.keeps_alive = self._parser.should_keep_alive() and not head.is_http_1_0
        if len(self.ready) >= PIPELINE_MAX:
            self.is_deaf = True
            return
        self.is_deaf = not head.keeps_alive
        self.ready.append(Request(head, body))


def _cause(failure: httptools.HttpParserCallbackError) -> CallerError:
    """Find what one of our own callbacks raised; anything but a CallerError is a bug of ours and goes on."""
    cause = failure.__context__
    if not isinstance(cause, CallerError):
        raise failure
    return cause
