"""Heads that came before on one connection: clients and replicas send the same head again and again, but for its length.

Law: what is recognised is, byte for byte but for the digits of its content-length, a head that the parser took and the
rules let pass before, followed by its whole body and nothing else; so it means what it meant then.
"""

import re
from hmac import compare_digest
from typing import Generic, TypeVar

HEAD_BYTES_MAX = 2048
"""Longer heads are always parsed. Bounds the memory of an idle connection."""
PATIENCE = 4
"""Heads learnt in a row without recognising one: then every head here is new (an id, a date), and learning is given up."""
_LENGTH_BYTES_MAX = 12
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+) *(?=\r\n)", re.IGNORECASE)

Meaning = TypeVar("Meaning")


class FamiliarHead(Generic[Meaning]):
    """The last head of one direction of one connection, and its `meaning` (None: nothing is known yet)."""

    __slots__ = ("_after", "_after_bytes", "_before", "_before_bytes", "_patience", "meaning")

    def __init__(self) -> None:
        self.meaning: Meaning | None = None
        self._patience = PATIENCE
        self._before = b""  # up to the digits of the content-length
        self._before_bytes = 0
        self._after = b""  # from behind them to the empty line
        self._after_bytes = 0

    def body_of(self, message: bytes) -> bytes | None:
        """Return the body if `message` is the known head and its whole body; else None.

        A head may hold a key, so it is compared in constant time.
        """
        start = self._before_bytes
        if not compare_digest(message[:start], self._before):
            return None
        end = message.find(b"\r", start, start + _LENGTH_BYTES_MAX)
        digits = message[start:end]
        begin = end + self._after_bytes
        if not digits.isdigit() or int(digits) != len(message) - begin:
            return None
        if not compare_digest(message[end:begin], self._after):
            return None
        self._patience = PATIENCE
        return message[begin:]

    def learn(self, message: bytes, body_bytes: int, meaning: Meaning) -> None:
        """Remember the head of a message that the parser found to be whole, with a body of so many bytes.

        Nothing is remembered where the head does not end and tell its length in the one plain way.
        """
        self.meaning = None
        if not self._patience:
            return
        self._patience -= 1
        end = message.find(b"\r\n\r\n")
        lengths = list(_LENGTH.finditer(message, 0, end + 2))
        begin = end + 4
        if len(lengths) != 1 or begin > HEAD_BYTES_MAX or len(message) - begin != body_bytes:
            return
        if int(lengths[0][1]) == body_bytes:
            first, last = lengths[0].span(1)
            self._before, self._before_bytes = message[:first], first
            self._after, self._after_bytes = message[last:begin], begin - last
            self.meaning = meaning
