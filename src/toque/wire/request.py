"""A request as it came over the wire, and the rules its head must keep before anything else looks at it.

Law: what two HTTP parsers could read in two ways is refused (RFC 9112 sections 3, 6 and 7), and limits hold before the
body is read. Nothing is routed or trusted by the Host.
"""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from toque.model.errors import CallerError
from toque.model.service_spec import LimitSpec
from toque.wire.body_stream import BodyStream
from toque.wire.client import Headers

_HOST = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_ONCE = frozenset({b"host", b"content-length", b"transfer-encoding", b"content-type", b"authorization", b"x-api-key"})
SAYS_MORE = _ONCE | {
    *(b"connection", b"keep-alive", b"proxy-connection", b"upgrade", b"http2-settings", b"expect", b"te", b"trailer"),
    *(b"content-encoding", b"content-range", b"cookie", b"proxy-authorization"),
}
"""Fields that say something about the connection, the body or the caller; all others only carry their text."""


_NOTHING: frozenset[bytes] = frozenset()


class Head:
    """Method, target and header fields: names in lower case, without `content-length`, which the reader has dealt with.

    A head that comes again on its connection is the same object, so `notes` can keep what the handler found out about it. One
    that comes again but for the texts of some fields has the same notes, and names these fields: they are `varied`.
    """

    __slots__ = ("headers", "is_http_1_0", "keeps_alive", "method", "notes", "target", "varied")

    def __init__(self, method: bytes, target: bytes, headers: Headers, *, is_http_1_0: bool = False) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.is_http_1_0 = is_http_1_0
        self.keeps_alive = True
        self.notes: object | None = None
        self.varied: AbstractSet[bytes] = _NOTHING

    def vary(self, texts: Mapping[bytes, bytes]) -> "Head":
        """Return the same head with other texts in some fields."""
        head = Head(self.method, self.target, {**self.headers, **texts}, is_http_1_0=self.is_http_1_0)
        head.keeps_alive, head.notes, head.varied = self.keeps_alive, self.notes, texts.keys()
        return head

    @property
    def path(self) -> bytes:
        """The target without its query; raw, nothing decoded or normalised."""
        return self.target.partition(b"?")[0]


class Request:
    """A head and the whole body; or, of a body that is handed over while it comes, its `stream`."""

    __slots__ = ("body", "head", "stream")

    def __init__(self, head: Head, body: bytes = b"", stream: BodyStream | None = None) -> None:
        self.head = head
        self.body = body
        self.stream = stream


def add_repeated(headers: Headers, name: bytes, content: bytes) -> None:
    """Join a field that came before, or raise `CallerError` where two of it would be ambiguous."""
    if name in _ONCE:
        raise CallerError(f"The header field {name.decode('ascii')} came twice; send it once.")
    headers[name] = b"%b, %b" % (headers[name], content)


def check_head(head: Head, limits: LimitSpec, body_bytes_max: int) -> None:
    """Raise `CallerError` for a head that breaks a rule or a limit. The parser has refused other ambiguities before."""
    headers = head.headers
    if len(head.target) > limits.url_bytes_max:
        raise CallerError(f"The URL is longer than {limits.url_bytes_max} bytes.", status=414, code="uri_too_long")
    if len(headers) > limits.header_fields_max:
        raise too_many_header_bytes(limits)
    host = headers.get(b"host")
    if host is None:
        if not head.is_http_1_0:
            raise CallerError("The header field Host is missing.")
    elif _HOST.fullmatch(host) is None:
        raise CallerError("The header field Host is malformed; it must be a name or an address, and maybe a port.")
    if b"transfer-encoding" in headers:
        _check_transfer_encoding(head)
    elif int(headers.get(b"content-length", 0)) > body_bytes_max:
        raise body_too_large(body_bytes_max)


def _check_transfer_encoding(head: Head) -> None:
    if head.is_http_1_0 or b"content-length" in head.headers:
        raise CallerError("Transfer-Encoding does not go with HTTP/1.0 or with Content-Length.")
    if head.headers[b"transfer-encoding"].lower() != b"chunked":
        raise CallerError("The only Transfer-Encoding understood here is chunked.")


def check_head_bytes(headers: Headers, limits: LimitSpec) -> None:
    """Raise `CallerError` for too large a header, counted as it was sent, up to optional blanks."""
    if sum(len(name) + len(content) + 4 for name, content in headers.items()) > limits.header_bytes_max:
        raise too_many_header_bytes(limits)


def body_too_large(bytes_max: int) -> CallerError:
    """Say what a body may have."""
    return CallerError(f"The request body is larger than {bytes_max} bytes.", status=413, code="request_too_large")


def too_many_header_bytes(limits: LimitSpec) -> CallerError:
    """Say what a header may have."""
    return CallerError(
        f"The request header has more than {limits.header_bytes_max} bytes or {limits.header_fields_max} fields.",
        status=431,
        code="header_too_large",
    )


def malformed() -> CallerError:
    """Say that this is not HTTP/1.1, without repeating what it was."""
    return CallerError("This is not a well-formed HTTP/1.1 request.")
