"""Events that need no further look: those that say nothing but a piece of text, and above all those like the last one.

Law: what is familiar is, byte for byte but for one JSON text in each event, an event that was decoded before and found ordinary, in
a chunk of its own; so client and replica read it as they read that one. Anything else is unframed and decoded.
"""

import re

from toque.gateway.shapes import UNREADABLE, decode_ordinary, decode_text

PATIENCE = 8
"""Events learnt in a row without recognising one: then no two are alike here (each says a time), and learning is given up."""
_TEXT = re.compile(rb'"(?:content|text|reasoning_content)": ?"([^"\\]*)"')


def are_ordinary(events: bytes) -> bool:
    """Whether these are whole events, each one line of JSON with neither usage nor error (0.3 us each).

    No event has another line break inside it, for there a client would end its line, whatever JSON says.
    """
    if not events.startswith(b"data: ") or events.find(b"\r") >= 0:
        return False
    lines = events[6:-2].split(b"\n\ndata: ")
    if events.count(b"\n") != 2 * len(lines):
        return False
    try:
        if not events.isascii():
            events.decode()  # msgspec does not look into the texts that it passes over
        for line in lines:
            decode_ordinary(line)
    except UNREADABLE:
        return False
    return True


class FamiliarChunks:
    """The chunks of one stream: each an event that equals the last ordinary one but for its text."""

    __slots__ = ("_after", "_before", "_bytes_min", "_end", "_patience", "_start", "_stop")

    def __init__(self) -> None:
        self._patience = PATIENCE
        self.forget()

    def forget(self) -> None:
        """Recognise nothing until the next event is learnt."""
        self._before = self._after = self._end = b"\0"  # in no event
        self._start = self._stop = self._bytes_min = 0

    def match(self, data: bytes) -> bool:
        """Whether a read that begins with a chunk is whole chunks, each with an event as it is known (0.4 us each)."""
        if not data.endswith(self._end):
            return False
        size, _, event = data[:-2].partition(b"\r\n")
        if not event.startswith(self._before) or len(event) < self._bytes_min:
            return False
        try:
            if size == b"%x" % len(event):
                decode_text(event[self._start : self._stop])
            elif not self._match_all(data[:-2].split(b"\r\n")):
                return False
        except UNREADABLE:
            return False
        self._patience = PATIENCE
        return True

    def _match_all(self, lines: list[bytes]) -> bool:
        """Whether these are sizes and events in turn. Raises one of UNREADABLE for a text that is none."""
        if len(lines) % 2:
            return False
        before, after, start, stop = self._before, self._after, self._start, self._stop
        for size, event in zip(lines[::2], lines[1::2], strict=True):
            if not (event.startswith(before) and event.endswith(after)) or len(event) < self._bytes_min:
                return False
            if size != b"%x" % len(event):
                return False
            decode_text(event[start:stop])
        return True

    def learn(self, events: bytes) -> None:
        """Remember the last of these events, which are ordinary."""
        if not self._patience:
            return
        self._patience -= 1
        event = events[events.rfind(b"\n\n", 0, -2) + 2 :] if events.find(b"\n") != len(events) - 2 else events
        found = _TEXT.search(event)
        if found is not None:
            start, end = found.span(1)
            self._before, self._after, self._end = event[:start], event[end:], event[end:] + b"\r\n"
            self._bytes_min = start + len(event) - end
            self._start, self._stop = (
                start - 1,
                end + 1 - len(event),
            )  # with its quotes; the end is counted from the end
