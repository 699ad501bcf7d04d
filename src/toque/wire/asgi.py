"""ASGI applications behind our own server: cold routes, the admin listener, a replica's process.

Law: when the client leaves, the application's task is cancelled (or only told, where it must end by itself); a client that
reads slowly makes `send` wait. No task outlives `close()`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from toque.model.errors import InternalError
from toque.wire.errors import REASON_PHRASES, encode_error
from toque.wire.incoming import Incoming
from toque.wire.request import Request

# The ASGI specification has its messages as mappings of anything.
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

_OURS = frozenset({b"connection", b"transfer-encoding", b"keep-alive"})
"""Response fields that are the server's to write."""


CLIENT_LEFT = 499
"""nginx's word for it; only records see it."""


class ClientLeftError(OSError):
    """Raised by `send` once the client is gone, as the ASGI specification wants it."""


class AsgiHandler:
    """The handler for `serve` that hands every request to one ASGI application.

    With `cancels` (the default) the application's task is cancelled when its client leaves; without, `receive` returns
    `http.disconnect` and `send` raises, and nothing else. Lifespan is not offered: whoever serves opens and closes.
    """

    def __init__(self, application: Application, *, cancels: bool = True) -> None:
        self._application = application
        self._cancels = cancels
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(
        self,
        request: Request,
        connection: Incoming,
        state: Mapping[str, object] | None = None,
        *,
        fields: Iterable[tuple[bytes, bytes]] = (),
        ended: Callable[[int], None] | None = None,
    ) -> "AsgiExchange":
        """Begin to answer a request.

        `state` is the application's to read, `fields` are added to every answer's head; `ended` learns the status once
        the answer is out, and 499 when the client left before.
        """
        exchange = AsgiExchange(request, connection, dict(state or {}), tuple(fields), ended)
        task = asyncio.get_running_loop().create_task(exchange.run(self._application))
        exchange.cancel_run = task.cancel if self._cancels else None
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return exchange

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            context = {"message": "An application behind the server failed", "exception": failure, "task": task}
            task.get_loop().call_exception_handler(context)

    async def close(self) -> None:
        """Cancel what still runs, and wait for it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class AsgiExchange:
    """One request answered by the application."""

    def __init__(
        self,
        request: Request,
        connection: Incoming,
        state: dict[str, object],
        fields: tuple[tuple[bytes, bytes], ...],
        ended: Callable[[int], None] | None,
    ) -> None:
        self._state = state
        self._fields = fields
        self._ended = ended
        self._status = 500
        self.cancel_run: Callable[[], bool] | None = None
        self._request = request
        self._connection = connection
        self._body: bytes | None = None if request.stream is not None else request.body
        self._stream = request.stream
        self._head = b""
        self._is_chunked = False
        self._has_begun = False
        self._has_ended = False
        self._left = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    async def run(self, application: Application) -> None:
        """Run the application to its end; what it leaves unanswered becomes an error."""
        try:
            await application(self._scope(), self._receive, self._send)
        except ClientLeftError:
            pass
        finally:
            self._end()

    def _scope(self) -> Message:
        path, _, query = self._request.head.target.partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.0" if self._request.head.is_http_1_0 else "1.1",
            "method": self._request.head.method.decode("ascii"),
            "scheme": "http",
            "path": unquote_to_bytes(path).decode("utf-8", "replace"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": list(self._request.head.headers.items()),
            "client": (self._connection.peer, 0),
            "server": None,
            "state": self._state,
        }

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        if self._stream is not None:
            body = await self._stream.read()
            if not body:
                self._stream = None
            return {"type": "http.request", "body": body, "more_body": bool(body)}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self._writable.wait()
        if self._left.is_set():
            raise ClientLeftError
        if self._has_ended:
            raise RuntimeError("The answer is complete already.")
        if message["type"] == "http.response.start":
            self._begin_head(message["status"], message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self._write_body(message.get("body", b""), is_more=message.get("more_body", False))

    def _begin_head(self, status: int, fields: Iterable[tuple[bytes, bytes]]) -> None:
        kept = [(name.lower(), content) for name, content in fields if name.lower() not in _OURS]
        kept += self._fields
        self._status = status
        names = {name for name, _ in kept}
        has_length = b"content-length" in names or status in {204, 304}
        self._is_chunked = not has_length and not self._request.head.is_http_1_0
        lines = [b"HTTP/1.1 %d %b" % (status, REASON_PHRASES.get(status, b"Unknown"))]
        lines += [b"%b: %b" % field for field in kept]
        if self._is_chunked:
            lines.append(b"transfer-encoding: chunked")
        if self._connection.is_last:
            lines.append(b"connection: close")
        self._head = b"\r\n".join(lines) + b"\r\n\r\n"

    def _write_body(self, body: bytes, *, is_more: bool) -> None:
        """Write a piece, the head before the first of them, all in one."""
        head, self._head = self._head, b""
        self._has_begun = True
        if self._request.head.method == b"HEAD":
            body = b""
        elif self._is_chunked:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if is_more else b"0\r\n\r\n")
        if head or body:
            self._connection.write(head + body)
        if not is_more:
            self._has_ended = True
            self._connection.finish()

    def _end(self) -> None:
        """Leave no client without an end: an error where nothing was sent, a cut where something was."""
        if self._ended is not None:
            self._ended(CLIENT_LEFT if self._left.is_set() and not self._has_ended else self._status)
        if self._has_ended or self._left.is_set():
            return
        self._has_ended = True
        if self._has_begun:
            self._connection.abort()
        else:
            error = InternalError("The server failed while it answered.")
            self._connection.write(encode_error(error, b"-", closes=True))
            self._connection.finish(closes=True)

    # ---- called by the connection

    def client_left(self) -> None:
        """Tell or cancel the application."""
        self._left.set()
        self._writable.set()
        if self.cancel_run is not None:
            self.cancel_run()

    def pause_writing(self) -> None:
        """Make `send` wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let `send` go on."""
        self._writable.set()

    def tick(self) -> None:
        """No time limit here: the application has its own."""

    def cut_off(self) -> None:
        """End the connection and with it the application."""
        self.client_left()
        self._connection.abort()
