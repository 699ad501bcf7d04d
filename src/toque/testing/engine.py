"""The fake engine: an OpenAI-compatible server whose answers are honest, until a script says otherwise.

Law: what no script touches keeps the inference contract (tests/contract): it is agent `fake` behind the routes that serve
every hosted agent. Nothing of it is open after `async with`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

from toque.agents.fake import FakeAgent
from toque.agents.host_routes import PREFIX, HostRoutes, Lock
from toque.model.agent_spec import Secret
from toque.model.service_spec import LimitSpec
from toque.testing.answers import Answer
from toque.testing.play import Play
from toque.wire.asgi import AsgiHandler
from toque.wire.incoming import Exchange, Incoming
from toque.wire.request import Request
from toque.wire.server import Server, serve

REQUESTS_MAX = 10_000
"""Requests remembered; the oldest is forgotten first."""
PROBES = frozenset({b"/health", b"/metrics"})
"""Paths that are never scripted: whoever looks after the engine shall see it as it is."""
NATURAL = Answer()


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came."""

    method: str
    target: str
    fields: dict[str, str]
    body: bytes


Script: TypeAlias = Iterable[Answer] | Callable[[Received], Answer]
"""Answers in the order of the requests, then natural ones for ever; or a function of the request."""


class FakeEngine:
    """Serves `agent` as `model`, but for what `script` says. Usable as an asynchronous context.

    `requests` holds those that came (without probes); `abandoned_count` counts scripted answers whose client left before
    their end.
    """

    def __init__(
        self,
        script: Script = (),
        *,
        agent: FakeAgent | None = None,
        model: str = "chat",
        key: Secret | None = None,
        port: int = 0,
    ) -> None:
        self.requests: deque[Received] = deque(maxlen=REQUESTS_MAX)
        self.abandoned_count = 0
        self.agent = agent or FakeAgent()
        self.port = port
        self._routes = HostRoutes(self.agent, model)
        application = self._routes.application()
        self._natural = AsgiHandler(application if key is None else Lock(application, key))
        self._next = _following(script)
        self._plays: set[Play] = set()
        self._server: Server | None = None

    @property
    def host(self) -> str:
        """Where it listens: loopback, always."""
        return "127.0.0.1"

    @property
    def url(self) -> str:
        """The base URL, as the settings of agent `openai` want it."""
        return f"http://{self.host}:{self.port}{PREFIX}"

    @property
    def in_flight(self) -> int:
        """Requests that it works on, natural and scripted."""
        return self._routes.in_flight + len(self._plays)

    @property
    def connection_count(self) -> int:
        """Connections that are open now, idle ones too."""
        return self._opened().connection_count

    async def __aenter__(self) -> Self:
        """Listen on the given port; 0: any free one. Raises `OSError` for a taken one."""
        await self.agent.open()
        self._server = await serve((self.host, self.port), self._handle, LimitSpec(connections_max=2**20))
        self.port = self._server.port
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the listener, every connection and every answer under way."""
        await self._opened().close()
        await self._natural.close()
        await asyncio.gather(*(play.close() for play in list(self._plays)))

    def _opened(self) -> Server:
        assert self._server is not None, "open() comes first"
        return self._server

    def _handle(self, request: Request, connection: Incoming) -> Exchange:
        if request.head.path in PROBES:
            return self._natural(request, connection)
        received = _received(request)
        self.requests.append(received)
        answer = self._next(received)
        if answer.is_natural and not answer.delay_s:
            return self._natural(request, connection)
        play = Play(answer, connection, self._ended, lambda: self._natural(request, connection))
        self._plays.add(play)
        return play

    def _ended(self, play: Play, *, is_abandoned: bool) -> None:
        self._plays.discard(play)
        self.abandoned_count += is_abandoned


def _following(script: Script) -> Callable[[Received], Answer]:
    if callable(script):
        return script
    answers: Iterator[Answer] = iter(script)
    return lambda _: next(answers, NATURAL)


def _received(request: Request) -> Received:
    fields = {name.decode("latin-1"): content.decode("latin-1") for name, content in request.head.headers.items()}
    return Received(request.head.method.decode("latin-1"), request.head.target.decode("latin-1"), fields, request.body)
