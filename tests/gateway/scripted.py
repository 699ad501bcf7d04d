"""A gateway between a scripted fleet and scripted replicas, on real sockets."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from itertools import count

from tests.wire.raw import Raw, raw
from tests.wire.scripted import read_request, replica
from toque.core.fallback import WaysOut
from toque.gateway.accounts import Accounts
from toque.gateway.auth import NO_WAYS, KeyRing
from toque.gateway.server import Gateway
from toque.model.endpoint import Endpoint
from toque.model.fallback_spec import PriceSpec
from toque.model.messages import Event, Failed
from toque.model.resources import Resources
from toque.model.service_spec import KeySpec, LimitSpec
from toque.model.ticket import FailureKind, FallbackCause, RefusalReason, Ticket
from toque.model.view import FleetView
from toque.ports import Dialect
from toque.records.metrics import Metrics
from toque.records.served import Served
from toque.runtime.actuator import Waiter

COMMON = frozenset({
    "messages", "prompt", "input", "temperature", "max_tokens", "stop", "seed", "n", "stream_options", "top_logprobs",
    "logit_bias", "tools", "response_format", "logprobs",
})  # fmt: skip
ALL_ROUTES = frozenset({"/chat/completions", "/completions", "/embeddings"})
DIALECTS = {
    "chat": Dialect(ALL_ROUTES, COMMON),
    "other": Dialect(frozenset({"/chat/completions"}), COMMON | {"grammar"}, model="upstream-name"),
}
HELLO = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}

PLAIN = {
    "id": "x",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
}


def event(delta: Mapping[str, object] | None, finish: str | None = None, **more: object) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"id": "x", "object": "chat.completion.chunk", "choices": choices, **more}
    return b"data: " + json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
TOKENS = [event({"content": text}) for text in ("Grüße", ", ", "世界")]
FINISH = event({}, "stop")
USAGE = event(None, usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7})


class Exchange:
    """One request as a replica sees it."""

    def __init__(self, head: bytes, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = head.decode("latin-1")
        self.content = body
        self.reader, self.writer = reader, writer

    @property
    def body(self) -> dict[str, object]:
        return dict(json.loads(self.content))

    async def write(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def answer(self, body: object, status: int = 200, fields: str = "") -> None:
        content = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
        fields = fields or "content-type: application/json\r\n"
        head = f"HTTP/1.1 {status} X\r\n{fields}content-length: {len(content)}\r\n\r\n"
        await self.write(head.encode() + content)

    async def begin_stream(self) -> None:
        await self.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
        )

    async def chunk(self, *pieces: bytes) -> None:
        for piece in pieces:
            await self.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    async def stream(self, *pieces: bytes) -> None:
        await self.begin_stream()
        await self.chunk(*pieces)
        await self.write(b"0\r\n\r\n")

    def cut(self) -> None:
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Return when the gateway has closed the connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


Answering = Callable[[Exchange], Awaitable[None]]


async def answer_plainly(exchange: Exchange) -> None:
    await exchange.answer(PLAIN)


async def answer_in_tokens(exchange: Exchange) -> None:
    await exchange.stream(*TOKENS, FINISH, USAGE, DONE)


class ScriptedFleet:
    """Grants at once while replicas are left, unless it is told to hold tickets; notes every event.

    The last replica is that of a ticket's first fallback, if it has any; `obstacle` says why no fallback takes one.
    """

    def __init__(self, endpoints: list[Endpoint], *, holds: bool = False) -> None:
        self.endpoints = dict(enumerate(endpoints, start=1))
        self.holds = holds
        self.obstacle = ""
        self.events: list[Event] = []
        self.tickets: dict[int, Ticket] = {}
        self.waiters: dict[int, Waiter] = {}
        self.untried: dict[int, list[int]] = {}
        self.pools = FleetView(0.0, draining=False, capacity=Resources(), free=Resources(), pools=())
        self._ids = count(1)

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def next_ticket_id(self) -> int:
        return next(self._ids)

    def submit(self, ticket: Ticket, waiter: Waiter) -> None:
        self.tickets[ticket.id] = ticket
        self.waiters[ticket.id] = waiter
        self.untried[ticket.id] = list(self.endpoints)
        if not self.holds:
            self.grant(ticket.id)

    def grant(self, ticket_id: int, cold_start_s: float = 0.0) -> None:
        if self.untried[ticket_id]:
            self.waiters[ticket_id].granted(self.untried[ticket_id].pop(0), cold_start_s)
        else:
            self.waiters[ticket_id].refused(RefusalReason.UPSTREAM_LOST, 0.0, self.obstacle)

    def post(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Failed) and not event.began and not event.replica_id:
            fallbacks = self.tickets[event.ticket_id].fallbacks
            if fallbacks and len(self.untried[event.ticket_id]) == 1:
                self.waiters[event.ticket_id].diverted(fallbacks[0], FallbackCause.FAILURE)
            if event.kind is FailureKind.DENIED:
                self.untried[event.ticket_id].clear()
            self.grant(event.ticket_id)

    def view(self) -> FleetView:
        return self.pools

    def endpoint(self, replica_id: int) -> Endpoint | None:
        return self.endpoints.get(replica_id)

    def is_ours(self, replica_id: int) -> bool:
        return replica_id in self.endpoints


class Records(Metrics):
    """Keeps what was recorded, beside counting it."""

    def __init__(self) -> None:
        super().__init__()
        self.served: list[Served] = []

    def count(self, served: Served) -> None:
        super().count(served)
        self.served.append(served)


@dataclasses.dataclass
class Scene:
    """Everything a story needs."""

    gateway: Gateway
    fleet: ScriptedFleet
    records: Records
    client: Raw
    requests: list[Exchange]

    def ask(self, body: object, path: str = "/v1/chat/completions", fields: str = "") -> None:
        self.client.send(post(body, path, fields))


def post(body: object, path: str = "/v1/chat/completions", fields: str = "") -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: toque.test\r\nContent-Type: application/json\r\n{fields}"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def get(path: str, fields: str = "", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: toque.test\r\n{fields}\r\n".encode()


@contextlib.asynccontextmanager
async def scene(
    *answering: Answering,
    holds: bool = False,
    keys: tuple[KeySpec, ...] = (),
    dialects: Mapping[str, Dialect] = DIALECTS,
    ways: WaysOut = NO_WAYS,
    keyless_may_leave: bool = False,
    prices: Mapping[str, PriceSpec] | None = None,
    **limits: float,
) -> AsyncIterator[Scene]:
    """Open a gateway, one replica for each script, and a client; check at the end that nothing is left."""
    requests: list[Exchange] = []

    def serving(script: Answering) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                head = await read_request(reader)
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                exchange = Exchange(head, await reader.readexactly(length), reader, writer)
                requests.append(exchange)
                await script(exchange)

        return serve

    before = len(asyncio.all_tasks())
    async with contextlib.AsyncExitStack() as stack:
        endpoints = [await stack.enter_async_context(replica(serving(script))) for script in answering]
        fleet = ScriptedFleet(endpoints, holds=holds)
        records = Records()
        spec = dataclasses.replace(LimitSpec(), **limits)  # type: ignore[arg-type]
        accounts = Accounts(fleet.now)
        accounts.revise(keys, prices or {})
        ring = KeyRing(keys, ways, keyless_may_leave=keyless_may_leave, accounts=accounts)
        gateway = Gateway(fleet, dialects, ring, spec, metrics=records)
        await gateway.open(("127.0.0.1", 0), sweep_s=0.02)
        stack.push_async_callback(gateway.close)
        client = await stack.enter_async_context(raw(gateway.port))
        yield Scene(gateway, fleet, records, client, requests)
    assert len(asyncio.all_tasks()) == before
