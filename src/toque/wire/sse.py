"""Server-sent events, parsed as they arrive (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Law: the events are the same however the bytes were split, and no line or event grows without a bound.
"""

from toque.model.errors import UpstreamError
from toque.model.value import value

LINE_BYTES_MAX = 2**20
"""Bytes of one line, and of one event's data, at most."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@value
class SseEvent:
    """`data` as its lines joined by LF; `event` is empty where the stream named none."""

    data: bytes
    event: bytes = b""


class SseParser:
    """Feed it bytes, get the events that became complete. Comments, `id` and `retry` are passed over."""

    __slots__ = ("_after_cr", "_at_start", "_data", "_data_bytes", "_event", "_line", "_line_bytes")

    def __init__(self) -> None:
        self._line: list[bytes] = []  # pieces of the line under way
        self._line_bytes = 0
        self._after_cr = False
        self._at_start = True
        self._clear_event()

    def feed(self, data: bytes) -> list[SseEvent]:
        """Return the events completed by `data`. Raises `UpstreamError` past LINE_BYTES_MAX."""
        if not data:
            return []
        if self._after_cr:
            data = data.removeprefix(b"\n")
        events: list[SseEvent] = []
        for piece in data.splitlines(keepends=True):  # bytes split at CR, LF and CRLF only
            self._line_bytes += len(piece)
            if self._line_bytes > LINE_BYTES_MAX:
                raise _too_long()
            self._line.append(piece)
            if piece.endswith((b"\n", b"\r")):
                self._end_line(events)
        self._after_cr = data.endswith(b"\r")
        return events

    def _end_line(self, events: list[SseEvent]) -> None:
        line = b"".join(self._line).rstrip(b"\r\n")
        self._line.clear()
        self._line_bytes = 0
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if line:
            self._take_field(line)
        else:
            if self._data:
                events.append(SseEvent(b"\n".join(self._data), self._event))
            self._clear_event()

    def _take_field(self, line: bytes) -> None:
        name, _, content = line.partition(b":")
        content = content.removeprefix(b" ")
        if name == b"data":
            self._data_bytes += len(content) + 1
            if self._data_bytes > LINE_BYTES_MAX:
                raise _too_long()
            self._data.append(content)
        elif name == b"event":
            self._event = content

    def _clear_event(self) -> None:
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._event = b""


def _too_long() -> UpstreamError:
    return UpstreamError("The replica sent an event of more than 1 MiB.", code="upstream_invalid_response")
