"""Answers that tell their client more than others: which service tier they had, and how far its limits are used up.

Law: only who asked for a rank, or has limits, pays for this. A stream says its tier in the first chunk, a whole answer at its end; an answer
too large to hold says it in its head alone, and so does every answer whose request asked in a way that no body echoes.
"""

import re

from toque.gateway.errand import Errand
from toque.gateway.outlet import EVENT_STREAM, Outlet, Write
from toque.model.errors import ToqueError

_SAID = re.compile(rb'"service_tier"\s*:\s*(null\b)?')
_TOLD = b'"service_tier":"%b"'


class TellingOutlet(Outlet):
    """Stands before the outlet of one errand that `tells_more`."""

    __slots__ = ("_inner", "_is_silent", "_reservation", "_tier", "has_begun", "write_chunks")

    def __init__(self, inner: Outlet, errand: Errand) -> None:
        wish = errand.ask.wish
        self._inner = inner
        self._reservation = errand.reservation
        self._tier = errand.rank.tier.encode("ascii") if errand.tells_rank else b""
        self._is_silent = wish is None or not wish.tier  # or no longer has anything to say in the body
        self.has_begun = False
        self.write_chunks: Write | None = None

    def answer(self, content_type: bytes, fields: bytes, body: bytes) -> None:
        """Send a whole answer with its tier."""
        self.has_begun = True
        self._inner.answer(content_type, self._told(fields), body if self._is_silent else name_tier(body, self._tier))

    def begin(self, content_type: bytes, length: int | None, fields: bytes) -> None:
        """An answer begins; into a whole one that passes in pieces nothing is put."""
        self.has_begun = True
        self._is_silent = self._is_silent or content_type != EVENT_STREAM
        self._inner.begin(content_type, length, self._told(fields))
        self.write_chunks = self._inner.write_chunks

    def write(self, data: bytes) -> None:
        """Pass bytes on; the first that have a chunk in them say the tier."""
        if not self._is_silent and b"{" in data:
            self._is_silent = True
            chunk, end, rest = data.partition(b"\n")
            data = name_tier(chunk, self._tier) + end + rest
        self._inner.write(data)

    def end(self) -> None:
        """The body is complete."""
        self._inner.end()

    def fail(self, error: ToqueError) -> None:
        """There is no (more) answer."""
        self._inner.fail(error)

    def leave(self) -> None:
        """Nobody is there any more."""
        self._inner.leave()

    def _told(self, fields: bytes) -> bytes:
        if self._tier:
            fields += b"x-toque-tier: %b\r\n" % self._tier
        return fields if self._reservation is None else fields + self._reservation.fields()


def name_tier(body: bytes, tier: bytes) -> bytes:
    """Put the tier at the end of a JSON object, or where it has none yet (null); what an upstream says itself stays.

    No text can be taken for the field: inside of one a quotation mark has a backslash before it.
    """
    said = _SAID.search(body)
    if said is not None:
        return body if said[1] is None else body[: said.start()] + _TOLD % tier + body[said.end() :]
    end = body.rfind(b"}")
    return body if end < 0 else b"%b,%b%b" % (body[:end].rstrip(), _TOLD % tier, body[end:])
