"""The client's side of one answer: what its head says and how its bytes are framed.

Law: a head is sent once, together with the first bytes after it. Once it is sent, errors are events of the stream; where
there is no stream to put them in, the connection is cut.
"""

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from toque.model.errors import ToqueError
from toque.wire.errors import encode_error, encode_error_event
from toque.wire.incoming import Incoming

EVENT_STREAM: Final = b"text/event-stream; charset=utf-8"
_STREAM_FIELDS: Final = b"cache-control: no-cache\r\nx-accel-buffering: no\r\n"

Write: TypeAlias = Callable[[bytes], None]
"""Takes bytes of an answer."""


class Outlet(Protocol):
    """Where one answer goes: to a client's connection, or to whoever asked from inside.

    `write_chunks` takes bytes of the body that are framed as whole chunks, once `write` has been called; None: it takes none.
    """

    __slots__ = ()
    has_begun: bool
    write_chunks: Write | None

    def answer(self, content_type: bytes, fields: bytes, body: bytes) -> None:
        """Take a whole answer. `fields`: further header fields, each with its CRLF."""
        ...

    def begin(self, content_type: bytes, length: int | None, fields: bytes) -> None:
        """An answer begins; `length` None: nobody knows how long it will be."""
        ...

    def write(self, data: bytes) -> None:
        """Take bytes of the body."""
        ...

    def end(self) -> None:
        """The body is complete."""
        ...

    def fail(self, error: ToqueError) -> None:
        """There is no (more) answer."""
        ...

    def leave(self) -> None:
        """Nobody is there any more."""
        ...


class ClientOutlet(Outlet):
    """Writes one answer to a client. After `end` or `fail` nothing more is written."""

    __slots__ = (
        "_connection",
        "_head",
        "_is_chunked",
        "_is_stream",
        "_request_id",
        "closes",
        "has_begun",
        "write_chunks",
    )

    def __init__(self, connection: Incoming, request_id: bytes, *, is_chunked: bool) -> None:
        self._connection = connection
        self._request_id = request_id
        self._head = b""
        self._is_chunked = is_chunked  # whether the client understands chunks (HTTP/1.1)
        self._is_stream = False
        self.has_begun = False
        self.closes = False
        self.write_chunks: Write | None = None

    def answer(self, content_type: bytes, fields: bytes, body: bytes) -> None:
        """Send a whole answer. `fields`: further header fields, each with its CRLF."""
        connection = self._connection
        self.has_begun = True
        self.closes = closes = connection.is_last
        write = connection.write
        write(
            b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\nx-request-id: %b\r\n%bcontent-length: %d\r\n%b\r\n%b"
            % (content_type, self._request_id, fields, len(body), b"connection: close\r\n" if closes else b"", body)
        )
        connection.finish(closes=closes)

    def begin(self, content_type: bytes, length: int | None, fields: bytes) -> None:
        """Prepare the head; it goes out with the first bytes. `fields`: further header fields, each with its CRLF."""
        self.has_begun = True
        self._is_stream = content_type == EVENT_STREAM
        self.closes = self._connection.is_last
        if length is not None:
            self._is_chunked = False
            framing = b"content-length: %d\r\n" % length
        elif self._is_chunked:
            framing = b"transfer-encoding: chunked\r\n"
            self.write_chunks = self._connection.write
        else:  # HTTP/1.0: the end of the connection is the end of the answer
            framing = b""
        self._head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n%bx-request-id: %b\r\n%b%b%b\r\n" % (
            content_type,
            _STREAM_FIELDS if self._is_stream else b"",
            self._request_id,
            fields,
            framing,
            b"connection: close\r\n" if self.closes else b"",
        )

    def write(self, data: bytes) -> None:
        """Send bytes of the body."""
        if self._is_chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._head:
            data = self._head + data
            self._head = b""
        self._connection.write(data)

    def end(self) -> None:
        """The body is complete."""
        if self._is_chunked:
            self._connection.write(b"0\r\n\r\n")
        self._connection.finish(closes=self.closes or self._connection.is_last)

    def leave(self) -> None:
        """The client left: there is nobody to write to."""

    def fail(self, error: ToqueError) -> None:
        """Say what went wrong, in the way that is still open, and end.

        1. Nothing was sent: an answer of its own. 2. A stream: an event, and no `[DONE]`. 3. Half of a plain answer is
        out: only a cut tells that it is not whole.
        """
        connection = self._connection
        if not self.has_begun:  # 1
            connection.write(encode_error(error, self._request_id, closes=connection.is_last))
            connection.finish()
        elif self._is_stream:  # 2
            self.write(encode_error_event(error))
            self.closes = True
            self.end()
        else:  # 3
            connection.abort()
