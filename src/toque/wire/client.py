"""A call to a replica over HTTP/1.1, as whoever makes it sees it.

Law: a call hears of exactly one end, or of none if it aborted.
"""

from abc import ABC, abstractmethod
from typing import Protocol, TypeAlias

from toque.model.ticket import FailureKind

Headers: TypeAlias = dict[bytes, bytes]
"""Field names in lower case; fields that came more than once are joined with `, `."""


class Carrier(Protocol):
    """The connection that carries a call (`wire/connection.py`)."""

    def drop(self) -> None:
        """Close, and tell nobody: the call is not wanted any more."""
        ...

    def pause(self) -> None:
        """Stop reading."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...


class Call(ABC):
    """One request on its way and what comes back of it.

    Called in this order: `on_head`, any number of `on_body`, `on_end`; or `on_lost` at any point, and then nothing more.
    """

    __slots__ = ("carrier",)

    def __init__(self) -> None:
        self.carrier: Carrier | None = None
        """The connection that carries the call now; None before `send` and after the end."""

    @abstractmethod
    def on_head(self, status: int, headers: Headers) -> None:
        """The status line and the header fields are here."""

    @abstractmethod
    def on_body(self, data: bytes) -> None:
        """All body bytes of one read, without their framing."""

    def takes_chunks(self, data: bytes) -> bool:
        """Look at a read that begins with a chunk, before it is unframed: True if it was whole chunks, and is done with."""
        return False

    @abstractmethod
    def on_end(self) -> None:
        """The answer is complete as far as HTTP can tell; its connection is free again already."""

    @abstractmethod
    def on_lost(self, kind: FailureKind) -> None:
        """There will be no (more) answer: NOT_SENT, LOST or INVALID (not HTTP)."""

    def wants_whole(self, status: int, headers: Headers) -> bool:
        """Whether a whole answer with this head, where it is here at once, shall be told by `on_whole` and nothing else."""
        return False

    def on_whole(self, body: bytes) -> None:
        """The whole answer; its connection is free again already."""
        self.on_body(body)
        self.on_end()

    def abort(self) -> None:
        """End the call and close its socket, at whatever stage; nothing is called afterwards. Harmless when over."""
        if self.carrier is not None:
            self.carrier.drop()

    def pause(self) -> None:
        """Stop reading until `resume`."""
        if self.carrier is not None:
            self.carrier.pause()

    def resume(self) -> None:
        """Read on."""
        if self.carrier is not None:
            self.carrier.resume()
