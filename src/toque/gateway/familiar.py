"""Events that need no further look: those that say nothing but a piece of text, and above all those like the last one.

Law: what is familiar is, byte for byte but for one JSON text in each event, an event that was decoded before and found ordinary, in
a chunk of its own; so client and replica read it as they read that one. Anything else is unframed and decoded.
"""

import re

import msgspec

PATIENCE = 8
"""Events learnt in a row without recognising one: then no two are alike here (each says a time), and learning is given up."""
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for an event that is no JSON."""

_TEXT = re.compile(rb'"(?:content|text|reasoning_content)": ?"([^"\\]*)"')


class _Ordinary(msgspec.Struct, gc=False):
    """An event with nothing to look at: decoding fails where it has usage or an error, or is no JSON."""

    usage: None = None
    error: None = None


_decode_ordinary = msgspec.json.Decoder(_Ordinary).decode
_decode_text = msgspec.json.Decoder(str).decode  # looks at every byte: no control character, no half escape, only UTF-8


def are_ordinary(events: bytes) -> bool:
    """Whether these are whole events, each one line of JSON with neither usage nor error (0.3 us each).

    No event has another line break inside it, for there a client would end its line, whatever JSON says.
    """
    lines = events[6:-2].split(b"\n\ndata: ")
    if not events.startswith(b"data: ") or events.find(b"\r") >= 0 or events.count(b"\n") != 2 * len(lines):
        return False
    try:
        if not events.isascii():
            events.decode()  # msgspec does not look into the texts that it passes over
        for line in lines:
            _decode_ordinary(line)
    except UNREADABLE:
        return False
    return True


class FamiliarChunks:
    """The chunks of one stream: each an event that equals the last ordinary one but for its text."""

    __slots__ = ("_after", "_before", "_end", "_patience", "_text")

    def __init__(self) -> None:
        self._patience = PATIENCE
        self.forget()

    def forget(self) -> None:
        """Recognise nothing until the next event is learnt."""
        self._before = self._after = self._end = b"\0"  # in no event
        self._text = slice(0)

    def match(self, data: bytes) -> bool:
        """Whether a read that begins with a chunk is whole chunks, each with an event as it is known (0.4 us each)."""
        if not data.endswith(self._end):
            return False
        size, _, event = data[:-2].partition(b"\r\n")
        if not event.startswith(self._before):
            return False
        try:
            if size == b"%x" % len(event):
                _decode_text(event[self._text])
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
        before, after, text = self._before, self._after, self._text
        for size, event in zip(lines[::2], lines[1::2], strict=True):
            if not (event.startswith(before) and event.endswith(after)) or size != b"%x" % len(event):
                return False
            _decode_text(event[text])
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
            self._text = slice(start - 1, end + 1 - len(event))  # with its quotes
