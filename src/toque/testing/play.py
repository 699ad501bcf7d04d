"""One scripted answer on its way: written piece by piece, at the speed of its reader, to the end that its script wants.

Law: it has one task, which ends with its client, with its script or with `close`.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from toque.agents.fake import pause
from toque.testing.answers import EVENT_STREAM, JSON_TYPE, Answer, Ending
from toque.wire.errors import REASON_PHRASES
from toque.wire.incoming import Exchange, Incoming


class Ended(Protocol):
    """Whoever wants to know that a play is over."""

    def __call__(self, play: "Play", *, is_abandoned: bool) -> None:
        """It is over; `is_abandoned`: because its client left."""
        ...


class Play:
    """An `Exchange` that plays `answer`. `natural` begins the model's own answer, where the script only wants it later."""

    def __init__(self, answer: Answer, connection: Incoming, ended: Ended, natural: Callable[[], Exchange]) -> None:
        self._answer = answer
        self._connection = connection
        self._natural = natural
        self._exchange: Exchange | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._is_chunked = False
        self._task = asyncio.ensure_future(self._perform())
        self._task.add_done_callback(lambda task: ended(self, is_abandoned=task.cancelled()))

    async def close(self) -> None:
        """Stop, and return when it has stopped."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _perform(self) -> None:
        answer, connection = self._answer, self._connection
        if answer.delay_s:
            await pause(answer.delay_s)
        if answer.is_natural:
            self._exchange = self._natural()
            return
        pieces = iter(answer.pieces)
        first = next(pieces, b"")
        connection.write(self._head(first) + self._framed(first))
        for piece in pieces:
            await pause(answer.gap_s)  # without a gap a turn of the loop: endless pieces must not keep it
            await self._writable.wait()
            connection.write(self._framed(piece))
        await self._end()

    def _head(self, first: bytes) -> bytes:
        answer = self._answer
        if answer.head:
            return answer.head
        self._is_chunked = True
        content_type = answer.content_type or (EVENT_STREAM if first.startswith(b"data:") else JSON_TYPE)
        fields = {"content-type": content_type, "transfer-encoding": "chunked", **answer.fields}
        lines = "".join(f"{name}: {content}\r\n" for name, content in fields.items())
        reason = REASON_PHRASES.get(answer.status, b"Scripted").decode("ascii")
        return f"HTTP/1.1 {answer.status} {reason}\r\n{lines}\r\n".encode("latin-1")

    def _framed(self, piece: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(piece), piece) if self._is_chunked and piece else piece

    async def _end(self) -> None:
        match self._answer.ending:
            case Ending.HANG:
                await asyncio.Event().wait()
            case Ending.CLOSE:
                self._connection.finish(closes=True)
            case Ending.WHOLE:
                if self._is_chunked:
                    self._connection.write(b"0\r\n\r\n")
                self._connection.finish(closes=not self._is_chunked)

    # ---- called by the connection

    def client_left(self) -> None:
        """Nobody listens any more."""
        self._task.cancel()
        if self._exchange is not None:
            self._exchange.client_left()

    def pause_writing(self) -> None:
        """Wait for the reader."""
        self._writable.clear()
        if self._exchange is not None:
            self._exchange.pause_writing()

    def resume_writing(self) -> None:
        """Go on."""
        self._writable.set()
        if self._exchange is not None:
            self._exchange.resume_writing()

    def tick(self) -> None:
        """No time limit: a script may take as long as it wants."""

    def cut_off(self) -> None:
        """End at once."""
        self.client_left()
        self._connection.abort()
