"""A client's connection: requests in, answers out.

Law: one request is answered at a time, in the order they came. A client that closes its half has left.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeAlias, cast

from toque.model.errors import CallerError, ToqueError
from toque.model.service_spec import LimitSpec
from toque.wire.reader import Phase, RequestReader
from toque.wire.refusals import too_many, too_slow, unwanted
from toque.wire.request import Request

BODY_GRACE_S = 10.0
BODY_RATE_MIN = 1024
"""Bytes a second that a body must bring on average, after the grace."""
LINGER_S = 2.0
"""After a refusal the client may still be sending; it gets this long to read why."""


class Exchange(Protocol):
    """One request being answered, as its connection sees it. Nothing is called after `finish()`."""

    def client_left(self) -> None:
        """The client is gone: stop the work. The connection takes no more bytes."""
        ...

    def pause_writing(self) -> None:
        """The client reads too slowly: stop producing."""
        ...

    def resume_writing(self) -> None:
        """The client has caught up."""
        ...

    def tick(self) -> None:
        """The server's sweep passes, each half second: look at timeouts."""
        ...

    def cut_off(self) -> None:
        """The server ends now: say so, if it can still be said, and finish."""
        ...


class Host(Protocol):
    """What a connection needs of its server. `now` is the time of the last sweep: good to half a second, and free."""

    limits: LimitSpec
    now: float
    keeps_alive: bool
    streamed: Mapping[bytes, int]
    """Target -> bytes of body: a POST there begins with its head, and its body is handed over while it comes."""
    begin: "Handler"
    """Answers a request: at once (None), or later as an exchange."""

    def encode_refusal(self, error: ToqueError) -> bytes:
        """Write the whole last answer of a connection."""
        ...

    def opened(self, connection: "Incoming") -> bool:
        """Know a new connection; False when there are too many."""
        ...

    def closed(self, connection: "Incoming") -> None:
        """Forget it."""
        ...


Handler: TypeAlias = Callable[[Request, "Incoming"], Exchange | None]


_BETWEEN: Final = Phase.BETWEEN  # found once, for each request asks


class Incoming(asyncio.Protocol):
    """One client's socket, what it asked, and the exchange under way."""

    __slots__ = (
        "_exchange",
        "_host",
        "_is_advancing",
        "_is_busy",
        "_is_lingering",
        "_is_paused",
        "_phase",
        "_reader",
        "_since",
        "_transport",
        "_unsent_bytes",
        "write",
    )

    def __init__(self, host: Host) -> None:
        self._host = host
        self._reader = RequestReader(host.limits, host.streamed)
        self._transport = cast(asyncio.Transport, None)  # there is one before anything is called
        self._exchange: Exchange | None = None
        self._is_busy = False
        self._is_advancing = False
        self._is_lingering = False
        self._is_paused = False
        self._phase = Phase.BETWEEN
        self._since = host.now
        self._unsent_bytes = 0
        self.write: Callable[[bytes], None] = _not_open
        """Sends bytes of the answer, framed already: the transport's own method, called once a chunk."""

    # ---- for whoever answers

    @property
    def is_last(self) -> bool:
        """Whether the connection ends with the answer under way; its head shall say `connection: close` then."""
        return (self._reader.is_deaf and not self._reader.ready) or not self._host.keeps_alive

    @property
    def peer(self) -> str:
        """The client's address."""
        name = self._transport.get_extra_info("peername")
        return str(name[0]) if name else ""

    def finish(self, *, closes: bool | None = None) -> None:
        """The answer is complete: go on with the next request, or close after the last (None: if this was the last)."""
        self._is_busy = False
        self._exchange = None
        if self.is_last if closes is None else closes:
            self._close_or_linger()
        else:
            self._since = self._host.now
            self._phase = _BETWEEN
            if self._reader.ready or self._reader.awaits_continue:
                self._advance()

    def abort(self) -> None:
        """Cut the connection, for the client must see that the answer is not whole. The exchange hears no more."""
        self._exchange = None
        self._transport.abort()

    # ---- for the server

    def sweep(self, now: float) -> None:
        """Look at everything that has a time limit, in order of likelihood.

        1. An exchange looks after itself, but for a client that reads nothing, or sends too slowly. 2. A refused client lingers a little.
        3. A head or a body that comes too slowly. 4. Idleness.
        """
        elapsed_s = now - self._since
        if self._is_busy:  # 1
            self._look_at_exchange(now, elapsed_s)
        elif self._is_lingering:  # 2
            if elapsed_s > LINGER_S:
                self.cut()
        elif self._reader.phase is not Phase.BETWEEN:  # 3
            self._check_pace(now, elapsed_s)
        elif elapsed_s > self._host.limits.keep_alive_s:  # 4
            self._transport.close()

    def _look_at_exchange(self, now: float, elapsed_s: float) -> None:
        if self._exchange is not None:
            self._exchange.tick()
        if self._is_paused:
            self._check_progress(now)
        elif self._reader.stream is not None:
            self._check_pace(now, elapsed_s)

    def close_if_idle(self) -> None:
        """Close unless a request is being answered."""
        if not self._is_busy:
            self._transport.close()

    def cut(self) -> None:
        """Close at once, as if the client had left."""
        self._transport.abort()

    def cut_off(self) -> None:
        """Let the exchange under way say that it is over."""
        if self._exchange is not None:
            self._exchange.cut_off()

    def _check_pace(self, now: float, elapsed_s: float) -> None:
        if self._phase is not self._reader.phase:  # a new head or body began since the last sweep
            self._phase = self._reader.phase
            self._since = now
        elif self._phase is Phase.HEAD:
            if elapsed_s > self._host.limits.header_read_s:
                self._reader.refuse(too_slow("header"))
        elif elapsed_s > BODY_GRACE_S and self._reader.body_bytes < BODY_RATE_MIN * (elapsed_s - BODY_GRACE_S):
            self._reader.refuse(too_slow("body"))
        self._advance()

    def _check_progress(self, now: float) -> None:
        unsent_bytes = self._transport.get_write_buffer_size()
        if unsent_bytes != self._unsent_bytes:
            self._unsent_bytes = unsent_bytes
            self._since = now
        elif now - self._since > self._host.limits.slow_reader_s:
            self.cut()

    # ---- called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected; asyncio and uvloop both have set TCP_NODELAY."""
        self._transport = cast(asyncio.Transport, transport)
        self._reader.flow = self._transport
        self.write = self._transport.write
        self._transport.set_write_buffer_limits(high=self._host.limits.stream_buffer_bytes)
        if not self._host.opened(self):
            self._reader.is_deaf = True
            self._refuse(too_many())

    def data_received(self, data: bytes) -> None:
        """Bytes from the client; mostly a whole request with a head that came before."""
        reader = self._reader
        if self._is_busy:
            reader.feed(data)
            return
        request = None if self._is_paused else reader.recognise(data)
        if request is None:
            reader.feed(data)
            self._advance()
        else:
            self._begin(request)

    def eof_received(self) -> bool:
        """The client sends no more, which counts as leaving: what nobody waits for shall not be computed."""
        if self._is_busy:
            self._transport.abort()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone; why makes no difference."""
        self._host.closed(self)
        self._reader.close()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_left()

    def pause_writing(self) -> None:
        """More than `stream_buffer_bytes` wait to be sent."""
        self._is_paused = True
        self._unsent_bytes = 0
        if self._exchange is not None:
            self._exchange.pause_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._is_paused = False
        if self._exchange is not None:
            self._exchange.resume_writing()
        elif not self._is_busy:
            self._advance()

    # ---- one after the other

    def _advance(self) -> None:
        """Begin what is ready, one at a time, unless the client does not even read what it has got."""
        if self._is_advancing:  # an answer that was given at once: the loop below goes on
            return
        self._is_advancing = True
        ready = self._reader.ready
        while ready and not self._is_busy and not self._is_paused and not self._is_lingering:
            item = ready.popleft()
            if isinstance(item, CallerError):
                self._refuse(item)
                break
            self._begin(item)
        if self._reader.awaits_continue and not self._is_busy:
            self._reader.awaits_continue = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._is_advancing = False

    def _begin(self, request: Request) -> None:
        self._is_busy = True
        exchange = self._host.begin(request, self)
        if self._is_busy:  # it was not answered at once
            self._exchange = exchange

    def _refuse(self, error: ToqueError) -> None:
        """Answer for the last time, and leave the client the time to read it: closing now could reset the connection."""
        self._transport.write(self._host.encode_refusal(error))
        self._linger()

    def _close_or_linger(self) -> None:
        """End with the answer that was given, also before the whole body came."""
        if self._reader.phase is _BETWEEN:
            self._transport.close()
        else:
            self._reader.refuse(unwanted())  # nobody reads the rest
            self._linger()

    def _linger(self) -> None:
        self._is_lingering = True
        self._since = self._host.now
        if self._transport.can_write_eof():
            self._transport.write_eof()


def _not_open(_: bytes) -> None:
    raise RuntimeError("The connection is not open yet.")
