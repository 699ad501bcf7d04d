"""A connection to the target that sends any bytes whatever, and reads answers without believing what they say.

Law: every wait has a bound, every answer a size it may not exceed, and a line is closed when its block ends.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from toque.conformance.target import Target

PATIENCE_S = 15.0
"""Nothing that a case waits for takes longer, unless it says so."""
ANSWER_BYTES_MAX = 16 * 2**20
HEAD_BYTES_MAX = 128 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ClosedError(Exception):
    """The connection ended before an answer was whole."""


class SilentError(Exception):
    """No (whole) answer came within the time it may take."""


class GarbledError(Exception):
    """What came is not an HTTP answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. Field names are in lower case; `interim` are the 1xx statuses that came before."""

    status: int
    fields: Mapping[str, str]
    body: bytes
    interim: tuple[int, ...] = ()


class Line:
    """One open connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, content: bytes, within_s: float = PATIENCE_S) -> None:
        """Send bytes, as far as the target takes them. Raises `ClosedError`, `SilentError`."""
        try:
            async with asyncio.timeout(within_s):
                self._writer.write(content)
                await self._writer.drain()
        except TimeoutError as error:
            raise SilentError from error
        except OSError as error:
            raise ClosedError from error

    def end_sending(self) -> None:
        """Close our half: the target reads an end, and may still answer; harmless where it has closed already."""
        with suppress(OSError):
            self._writer.write_eof()

    def leave(self) -> None:
        """Go without a word, as a process that died (RST)."""
        opened: socket.socket = self._writer.get_extra_info("socket")
        with suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._writer.transport.abort()

    async def answer(self, within_s: float = PATIENCE_S, *, has_body: bool = True) -> Answer:
        """Read one answer. Raises `ClosedError`, `SilentError`, `GarbledError`."""
        try:
            async with asyncio.timeout(within_s):
                interim: list[int] = []
                while True:
                    status, fields = await self._head()
                    if status >= 200 or status == 101:
                        body = await self._body(status, fields) if has_body else b""
                        return Answer(status, fields, body, tuple(interim))
                    interim.append(status)
        except TimeoutError as error:
            raise SilentError from error
        except (asyncio.IncompleteReadError, OSError) as error:
            raise ClosedError from error
        except (ValueError, IndexError, asyncio.LimitOverrunError) as error:
            raise GarbledError from error

    async def piece(self, within_s: float = PATIENCE_S) -> bytes:
        """Read whatever comes next, nothing at the end. Raises `SilentError`; a reset counts as an end."""
        try:
            async with asyncio.timeout(within_s):
                return await self._reader.read(64 * 1024)
        except TimeoutError as error:
            raise SilentError from error
        except OSError:
            return b""

    async def rest(self, within_s: float = PATIENCE_S) -> bytes:
        """Read until the target closes. Raises `SilentError`."""
        pieces: list[bytes] = []
        while piece := await self.piece(within_s):
            pieces.append(piece)
            if sum(map(len, pieces)) > ANSWER_BYTES_MAX:
                break
        return b"".join(pieces)

    async def _head(self) -> tuple[int, Mapping[str, str]]:
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return int(first.split(" ")[1]), {name.strip().lower(): content.strip() for name, _, content in pairs}

    async def _body(self, status: int, fields: Mapping[str, str]) -> bytes:
        if status in {101, 204, 304}:
            return b""
        if fields.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunks()
        if "content-length" in fields:
            return await self._reader.readexactly(min(int(fields["content-length"]), ANSWER_BYTES_MAX))
        return await self._reader.read(ANSWER_BYTES_MAX)

    async def _chunks(self) -> bytes:
        pieces: list[bytes] = []
        while size := int((await self._reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            pieces.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        while await self._reader.readuntil(b"\r\n") != b"\r\n":  # trailers
            pass
        return b"".join(pieces)


@asynccontextmanager
async def line_to(target: Target, *, receive_bytes: int = 0) -> AsyncGenerator[Line, None]:
    """Connect; `receive_bytes` makes the kernel's buffer small, as a slow reader has it. Raises `OSError`."""
    context = ssl.create_default_context() if target.is_tls else None
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(target.host, target.port, ssl=context, limit=HEAD_BYTES_MAX)
    if receive_bytes:
        opened: socket.socket = writer.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    try:
        yield Line(reader, writer)
    finally:
        writer.transport.abort()
