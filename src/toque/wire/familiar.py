"""Heads that came before on one connection: clients and replicas send the same head again and again, but for its length,
and perhaps for an id or a date.

Law: what is recognised is, byte for byte, a head that the parser took and the rules let pass before, but for the digits of its
content-length and the plain texts of fields that only carry a text; it is followed by its whole body and nothing else.
"""

import re
from collections.abc import Callable, Mapping
from hmac import compare_digest
from typing import Generic, TypeVar

from toque.wire.request import SAYS_MORE

HEAD_BYTES_MAX = 2048
"""Longer heads are always parsed. Bounds the memory of an idle connection."""
PATIENCE = 4
"""Heads learnt in a row without recognising one: then every head here is new in some other way, and learning is given up."""
VARYING_MAX = 3
"""Fields of a head that may carry another text each time, such as a request id, a trace and a date."""
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+) *(?=\r\n)", re.IGNORECASE)
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([!-~]+(?: [!-~]+)*)")
_PLAIN = re.compile(rb"[!-~]+(?: [!-~]+)*")

Meaning = TypeVar("Meaning")


class Varying:
    """A field that carries another text in each head. `text` is that of the last one."""

    __slots__ = ("_known", "_start", "name", "text")

    def __init__(self, field: re.Match[bytes]) -> None:
        self.name = field[1].lower()
        self._start = b"\r\n" + field[0][: field.start(2) - field.start()]
        self._known = self.text = field[2]

    def restore(self, head: bytes) -> bytes:
        """Return `head` with the text that is known, or nothing where the field or its text is not a plain one."""
        start = head.find(self._start) + len(self._start)
        end = head.find(b"\r", start)
        if end < 0:
            return b""
        self.text = text = head[start:end]
        return head[:start] + self._known + head[end:] if _PLAIN.fullmatch(text) else b""


class FamiliarHead(Generic[Meaning]):
    """The last head of one direction of one connection, and its `meaning` (None: nothing is known yet).

    `varying` are the fields whose texts are not those of the known head; who takes its meaning takes their texts too.
    """

    __slots__ = ("_bytes_max", "_form", "_is_equal", "_known", "_patience", "meaning", "varying")

    def __init__(
        self, bytes_max: int = HEAD_BYTES_MAX, is_equal: Callable[[bytes, bytes], bool] = compare_digest
    ) -> None:
        """`is_equal` compares in constant time, for a head may hold a key; one of an answer need not."""
        self._is_equal = is_equal
        self._bytes_max = min(bytes_max, HEAD_BYTES_MAX)
        self.meaning: Meaning | None = None
        self.varying: tuple[Varying, ...] = ()
        self._patience = PATIENCE
        self._known = b""
        self._form = b""  # what is known, with %d for the length

    def body_of(self, message: bytes) -> bytes | None:
        """Return the body if `message` is the known head and its whole body; else None."""
        is_equal = self._is_equal
        begin = message.find(b"\r\n\r\n", 0, self._bytes_max) + 4
        head = message[:begin]
        for field in self.varying:
            head = field.restore(head)
        if is_equal(head, self._form % (len(message) - begin)):
            self._patience = PATIENCE
            return message[begin:]
        return None

    def texts(self) -> Mapping[bytes, bytes]:
        """The texts of the varying fields in the message that was recognised last, by names in lower case."""
        return {field.name: field.text for field in self.varying}

    def learn(self, message: bytes, body_bytes: int, meaning: Meaning) -> None:
        """Remember the head of a message that the parser found to be whole, with a body of so many bytes.

        Nothing is remembered where the head does not end and tell its length in the one plain way.
        """
        self.meaning = None
        if not self._patience:
            return
        self._patience -= 1
        begin = message.find(b"\r\n\r\n") + 4
        lengths = list(_LENGTH.finditer(message, 0, begin - 2))
        if len(lengths) != 1 or begin > self._bytes_max or len(message) - begin != body_bytes:
            return
        if int(lengths[0][1]) == body_bytes:
            first, last = lengths[0].span(1)
            before, after = message[:first].replace(b"%", b"%%"), message[last:begin].replace(b"%", b"%%")
            known, self._known = self._known, message[:begin]
            self.varying = _varying(known, self._known)
            self._form = before + b"%d" + after
            self.meaning = meaning


def _varying(known: bytes, head: bytes) -> tuple[Varying, ...]:
    """The fields of a head by which alone it differs from the one that was known; none where it differs in more."""
    fields, others = head.split(b"\r\n"), known.split(b"\r\n")
    if len(fields) != len(others) or fields[0] != others[0]:
        return ()
    names = [field.partition(b":")[0].lower() for field in fields]
    found = []
    for name, field, other in zip(names[1:], fields[1:], others[1:], strict=True):
        if field == other or name == b"content-length":
            continue
        told, before = _FIELD.fullmatch(field), _FIELD.fullmatch(other)
        if told is None or before is None or told[1] != before[1] or name in SAYS_MORE or names.count(name) > 1:
            return ()
        found.append(Varying(told))
    return tuple(found) if len(found) <= VARYING_MAX else ()
