"""The channel: words over a TCP connection, each as its length and its bytes.

Law: both directions are bounded, in bytes and in silence: who reads too slowly or says nothing is cut off, and begins anew. What
does not parse ends the connection. The token that both sides know is never sent: each proves that it knows it.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

import msgspec

from toque.alliance.words import Beat, Word

BEAT_S = 2.0
"""Who has said nothing for so long says that it is here."""
SILENCE_S = 10.0
"""Who has heard nothing for so long takes the connection for dead: five beats."""
WORD_BYTES_MAX = 16 * 2**20
"""A word at most: all models of a large fleet take some hundred kB."""
UNSENT_BYTES_MAX = 64 * 2**20
"""Words that the other side does not take, at most: a new gateway is told of every replica at once, 150 bytes each."""
LENGTH_BYTES = 4
Heard = TypeVar("Heard")
_encode = msgspec.msgpack.Encoder().encode


class Channel(Generic[Heard]):
    """One connection that is open. `decoder` takes what the other side may say."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, decoder: msgspec.msgpack.Decoder[Heard]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = decoder
        self._loop = asyncio.get_running_loop()
        self._said_at = self._loop.time()

    def say(self, word: Word) -> None:
        """Send a word soon; a connection that does not take it any more is given up."""
        if self._writer.transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self._writer.transport.abort()
            return
        body = _encode(word)
        self._writer.write(len(body).to_bytes(LENGTH_BYTES) + body)
        self._said_at = self._loop.time()

    def beat(self) -> None:
        """Say that we are here, if we have not said anything for a while."""
        if self._loop.time() - self._said_at >= BEAT_S:
            self.say(Beat())

    async def hear(self, within_s: float = SILENCE_S) -> Heard:
        """Wait for a word. Raises `OSError` where the connection ended or nothing came in time, and for what is no word."""
        try:
            async with asyncio.timeout(within_s):
                length = int.from_bytes(await self._reader.readexactly(LENGTH_BYTES))
                if length > WORD_BYTES_MAX:
                    raise ConnectionError(f"a word of {length} bytes")
                return self._decoder.decode(await self._reader.readexactly(length))
        except asyncio.IncompleteReadError as error:
            raise ConnectionError("the connection has ended") from error
        except msgspec.MsgspecError as error:
            raise ConnectionError(f"no word that is known here: {error}") from error

    async def words(self) -> AsyncIterator[Heard]:
        """Hear words until the connection ends, which raises `OSError`."""
        while True:
            yield await self.hear()

    async def flush(self, within_s: float = 1.0) -> None:
        """Wait until all that was said is on its way, but not for long."""
        try:
            async with asyncio.timeout(within_s):
                await self._writer.drain()
        except (OSError, TimeoutError):
            return

    def close(self) -> None:
        """End the connection at once."""
        self._writer.close()


def prove(token: str, who: str, *nonces: str) -> str:
    """Return what only somebody who knows the token can say about these nonces."""
    text = "\n".join((who, *nonces))
    return hmac.digest(token.encode(), text.encode(), "sha256").hex()


def is_proof(told: str, expected: str) -> bool:
    """Whether it is the same, in the same time whatever differs."""
    return hmac.compare_digest(told.encode(), expected.encode())
