"""A stream of server-sent events on its way through: what the relay must know of it, and nothing else.

Law: only whole events that can be read go on, byte by byte as they came, so that an error event can follow at any moment.
The one thing taken out is the usage chunk, when the client did not ask for it.
"""

import re
from collections.abc import Iterator, Mapping

import msgspec

from toque.gateway.familiar import FamiliarChunks, are_ordinary
from toque.gateway.shapes import NULL, UNREADABLE, Chunk, decode_chunk, decode_usage

EVENT_BYTES_MAX = 2**20
"""An unfinished event at most."""

_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_PROMPT = re.compile(rb'"prompt_tokens"\s*:\s*(\d{1,12})')
_OUTPUT = re.compile(rb'"completion_tokens"\s*:\s*(\d{1,12})')
_EMPTY = re.compile(rb"\[\s*\]")
_FINISHED = re.compile(rb'"finish_reason"\s*:\s*"')
_MARKS = (b"\r\n\r\n", b"\n\n", b"\r\r")
_BOUNDARY = re.compile(b"|".join(_MARKS))
_BOUNDARY_LF = re.compile(b"\n\n")  # five times as fast
_FIELD = re.compile(rb"[^\r\n]+")
_DONE = b"[DONE]"


class StreamFaultError(Exception):
    """The stream goes wrong after `passed`, which is for the client.

    `status` is that of the error which the replica told in an event, `body` that event; 0: the event cannot be read.
    """

    def __init__(self, passed: bytes = b"", status: int = 0, body: bytes = b"") -> None:
        super().__init__("the stream went wrong")
        self.passed = passed
        self.status = status
        self.body = body


class EventStream:
    """Feed it body bytes, pass on what it returns; at the end ask whether the answer was whole."""

    __slots__ = ("_has_finished", "_held", "_keeps_usage", "_tail", "familiar", "output_tokens", "prompt_tokens")

    def __init__(self, *, keeps_usage: bool) -> None:
        self.prompt_tokens = 0
        self.output_tokens = 0
        self.familiar = FamiliarChunks()
        """What it matches need not be fed: that passes as it is."""
        self._keeps_usage = keeps_usage
        self._held = b""  # the unfinished event
        self._tail = b""  # the last events passed on that were not familiar
        self._has_finished = False

    def feed(self, data: bytes) -> bytes:
        """Return what goes to the client. Raises `StreamFaultError`."""
        if self._held:
            data = self._held + data
            self._held = b""
        if not data.endswith(b"\n\n"):
            data = self._hold_back(data)
        if are_ordinary(data):
            if not self._held:
                self.familiar.learn(data)
        else:
            data = self._read(data)
        if data:
            self._tail = data
        return data

    def rest(self) -> bytes:
        """At the end: return an event that lacked only its empty line."""
        rest, self._held = self._held, b""
        return self.feed(rest.rstrip() + b"\n\n") if rest.strip() else b""

    def is_whole(self) -> bool:
        """Whether the answer has come to its end: `[DONE]` was said, or why it finished."""
        return self._has_finished or self.is_done() or _FINISHED.search(self._tail) is not None

    def is_done(self) -> bool:
        """Whether the last event was `[DONE]`."""
        return self._tail.rstrip().endswith(_DONE)

    def _hold_back(self, data: bytes) -> bytes:
        """Cut off the unfinished event at the end and keep it for the next read, which begins with no whole event then."""
        self.familiar.forget()
        end = max((data.rfind(mark) + len(mark) for mark in _MARKS if mark in data), default=0)
        self._held = data[end:]
        if len(self._held) > EVENT_BYTES_MAX:
            raise StreamFaultError(data[:end])
        return data[:end]

    def _read(self, data: bytes) -> bytes:
        """Look at whole events one by one; return them without what the client did not ask for."""
        kept, start = [], 0
        for event, chunk in _read_each(data):
            if chunk.usage != NULL and self._takes_out(bytes(chunk.usage), chunk, data):
                kept.append(data[start : event.start])
                start = event.stop
        return b"".join(kept) + data[start:] if start else data

    def _takes_out(self, usage: bytes, chunk: Chunk, data: bytes) -> bool:
        """Read the counts; say whether the event has nothing else and the client did not ask for it."""
        if not usage.startswith(b"{"):
            return False
        if not (self._has_finished or data.endswith(b"[DONE]\n\n")):
            self._has_finished = _FINISHED.search(self._tail + data) is not None
        self.prompt_tokens, self.output_tokens = _read_usage(usage)
        return not self._keeps_usage and _EMPTY.fullmatch(chunk.choices) is not None


def _read_each(data: bytes) -> Iterator[tuple[slice, Chunk]]:
    """Read whole events one by one. Raises `StreamFaultError` at the first that cannot be read, or tells an error."""
    start = 0
    for boundary in (_BOUNDARY if b"\r" in data else _BOUNDARY_LF).finditer(data):
        text = _text(data[start : boundary.start()])
        if text and text != _DONE:
            try:
                text.decode()  # msgspec does not look into the texts that it passes over
                chunk = decode_chunk(text)
            except UNREADABLE:
                raise StreamFaultError(data[:start]) from None
            if chunk.error is not None:
                raise StreamFaultError(data[:start], _status(chunk.error), text)
            yield slice(start, boundary.end()), chunk
        start = boundary.end()


def _text(event: bytes) -> bytes:
    """The data of one event, its lines joined by LF."""
    if event.startswith(b"data: ") and event.find(b"\n") < 0 and event.find(b"\r") < 0:
        return event[6:].strip()
    lines = [line[5:].removeprefix(b" ") for line in _FIELD.findall(event) if line.startswith(b"data:")]
    return b"\n".join(lines).strip()


def _status(error: Mapping[str, msgspec.Raw] | str) -> int:
    """The HTTP status that an error event stands for: its code, where that is one."""
    code = b"" if isinstance(error, str) else bytes(error.get("code", b""))
    return int(code) if re.fullmatch(rb"[45]\d\d", code) else 500


def _read_usage(usage: bytes) -> tuple[int, int]:
    """Read prompt and output tokens of a usage object; 0 for what it does not say."""
    try:
        counts = decode_usage(usage)
    except msgspec.DecodeError:  # it says something else than a count
        prompt, output = _PROMPT.search(usage), _OUTPUT.search(usage)
        return int(prompt[1]) if prompt else 0, int(output[1]) if output else 0
    return counts.prompt_tokens, counts.completion_tokens


def find_usage(body: bytes) -> tuple[int, int]:
    """Read prompt and output tokens of an answer in one piece."""
    start = body.rfind(b'"usage":{')
    end = body.find(b"}", start) + 1 if start >= 0 else 0
    if end:
        try:
            usage = decode_usage(body[start + 8 : end])
        except msgspec.DecodeError:  # it has objects inside
            pass
        else:
            return usage.prompt_tokens, usage.completion_tokens
    found = _USAGE.search(body)
    return _read_usage(body[found.end() :]) if found is not None else (0, 0)
