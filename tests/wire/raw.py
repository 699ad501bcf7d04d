"""A client that writes whatever bytes it is told to, and reads whole answers back."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable


async def until(condition: Callable[[], object]) -> None:
    """Give the loop its turns until the condition holds."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)


class Answer:
    """One parsed answer."""

    def __init__(self, head: bytes, body: bytes) -> None:
        status_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        self.status = int(status_line.split(" ")[1])
        self.fields = {name.lower(): content for name, _, content in (line.partition(": ") for line in lines)}
        self.body = body

    @property
    def error(self) -> dict[str, str | None]:
        """The error inside, checked for its shape."""
        assert self.fields["content-type"] == "application/json"
        assert self.fields["x-request-id"]
        error = json.loads(self.body)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return dict(error)


class Raw:
    """A socket to the server under test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)

    async def head(self) -> Answer:
        async with asyncio.timeout(20):
            return Answer(await self.reader.readuntil(b"\r\n\r\n"), b"")

    async def chunk(self) -> bytes:
        async with asyncio.timeout(20):
            size = int(await self.reader.readline(), 16)
            piece = await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
            return piece

    async def answer(self) -> Answer:
        answer = await self.head()
        async with asyncio.timeout(20):
            if "content-length" in answer.fields:
                answer.body = await self.reader.readexactly(int(answer.fields["content-length"]))
            elif answer.fields.get("transfer-encoding") == "chunked":
                pieces = []
                while piece := await self.chunk():
                    pieces.append(piece)
                answer.body = b"".join(pieces)
            else:
                answer.body = await self.reader.read()
        return answer

    async def rest(self) -> bytes:
        """What comes until the server closes; a reset counts as closing."""
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read()
        return b""


@contextlib.asynccontextmanager
async def raw(port: int) -> AsyncIterator[Raw]:
    """Connect, and leave nothing behind."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
