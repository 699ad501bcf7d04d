"""The routes of the host: OpenAI's API over one agent in this process, its health and its counters.

Law: every route wants the bearer secret. A client that leaves cancels the agent's task at once (`wire.asgi` does that).
"""

import asyncio
import hmac
import time
from collections.abc import AsyncGenerator, Awaitable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace
from itertools import count
from typing import Protocol, TypeVar, runtime_checkable

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from toque.agents.answer_body import DONE, encode_chunk, encode_completion, encode_embeddings, encode_usage_chunk
from toque.agents.request_body import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    RequestBody,
    context_of,
    decode_body,
    decode_request,
    encode_json,
)
from toque.model.agent_spec import Secret
from toque.model.errors import CallerError, InternalError, ToqueError, UpstreamError
from toque.model.inference import Delta, Json, PromptContext, Usage
from toque.model.load import Load
from toque.ports import InferenceAgent
from toque.wire.errors import encode_error_body, encode_error_event, retry_fields

PREFIX = "/v1"
TIMEOUT_DIGITS_MAX = 12
METRICS = """\
# TYPE toque_agent_tokens_decoded_total counter
toque_agent_tokens_decoded_total {tokens}
# TYPE toque_agent_requests_in_flight gauge
toque_agent_requests_in_flight {in_flight}
"""


_Answer = TypeVar("_Answer")


@runtime_checkable
class Embedding(Protocol):
    """What an agent has that can also embed."""

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector a text."""
        ...


@runtime_checkable
class Counting(Protocol):
    """What an agent has that counts its tokens itself, those of cancelled requests too."""

    tokens_decoded: int


class EmbeddingBody(msgspec.Struct):
    """A request for embeddings."""

    input: str | list[str]
    model: str = ""


class Lock:
    """Lets a request pass that brings the secret."""

    def __init__(self, application: ASGIApp, secret: Secret) -> None:
        self._application = application
        self._expected = f"Bearer {secret.reveal()}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, or hand on."""
        given = dict(scope["headers"]).get(b"authorization", b"")
        if hmac.compare_digest(given, self._expected):
            await self._application(scope, receive, send)
        else:
            error = CallerError(
                "This replica takes calls of its own gateway only.",
                status=401,
                error_type="authentication_error",
                code="invalid_api_key",
            )
            await _encode(error)(scope, receive, send)


class HostRoutes:
    """One agent behind HTTP, and the count of what it does. `in_flight`: requests that it works on now."""

    def __init__(self, agent: InferenceAgent, model: str) -> None:
        self.in_flight = 0
        self._agent = agent
        self._model = model
        self._numbers = count(1)
        self._tokens_told = 0

    def application(self) -> ASGIApp:
        """Return the routes as an application that anybody may call."""
        table = [
            Route(PREFIX + CHAT, self.answer, methods=["POST"]),
            Route(PREFIX + COMPLETIONS, self.answer, methods=["POST"]),
            Route(f"{PREFIX}/models", self.models),
            Route("/health", self.health),
            Route("/metrics", self.metrics),
        ]
        if isinstance(self._agent, Embedding):
            table.append(Route(PREFIX + EMBEDDINGS, self.embed, methods=["POST"]))
        return Starlette(routes=table, exception_handlers={ToqueError: _refused, Exception: _broken})

    def load(self, slots: int) -> Load:
        """Tell the load: the agent takes whatever comes, so what is above its slots counts as waiting for one."""
        return Load(min(self.in_flight, slots), max(0, self.in_flight - slots), slots)

    async def answer(self, request: Request) -> Response:
        """Chat and completions."""
        body = decode_request(await request.body())
        context = replace(context_of(body), timeout_s=_timeout_s(request))
        chat = context.prompt is None
        if body.stream:
            return await self._stream(context, body, chat=chat)
        with self._counted():
            completion = await _in_time(self._agent.generate(context), _deadline(context))
        self._told(completion.usage)
        return Response(encode_completion(completion, self._head(), chat=chat), media_type="application/json")

    async def embed(self, request: Request) -> Response:
        """Vectors of texts."""
        assert isinstance(self._agent, Embedding)
        body = decode_body(await request.body(), EmbeddingBody)
        texts = [body.input] if isinstance(body.input, str) else body.input
        with self._counted():
            deadline = asyncio.get_running_loop().time() + _timeout_s(request)
            vectors = await _in_time(self._agent.embed(texts), deadline)
        tokens = sum(len(text.split()) for text in texts)
        return Response(encode_embeddings(vectors, self._model, tokens), media_type="application/json")

    async def models(self, _: Request) -> Response:
        """The one model here."""
        model: dict[str, Json] = {"id": self._model, "object": "model", "created": 0, "owned_by": "toque"}
        return Response(encode_json({"object": "list", "data": [model]}), media_type="application/json")

    async def health(self, _: Request) -> Response:
        """It answers, so it lives."""
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def metrics(self, _: Request) -> Response:
        """Tokens decoded and requests in flight, in Prometheus' text format."""
        agent = self._agent
        tokens = agent.tokens_decoded if isinstance(agent, Counting) else self._tokens_told
        return PlainTextResponse(METRICS.format(tokens=tokens, in_flight=self.in_flight))

    async def _stream(self, context: PromptContext, body: RequestBody, *, chat: bool) -> Response:
        """Wait for the first piece, so that a failure before it still has a status of its own."""
        events = self._events(context, body, chat=chat)
        first = await anext(events)
        return _EventStream(first, events)

    async def _events(self, context: PromptContext, body: RequestBody, *, chat: bool) -> AsyncGenerator[bytes, None]:
        head = self._head()
        has_begun = False
        last = Delta()
        with self._counted():
            try:
                async with aclosing(self._agent.stream(context)) as deltas:
                    async for last in _each_in_time(deltas, _deadline(context)):
                        yield _event(encode_chunk(last, head, chat=chat))
                        has_begun = True
            except ToqueError as error:
                if not has_begun:
                    raise
                yield encode_error_event(error)
                return
        usage = last.usage or Usage()
        self._told(usage)
        if body.wants_usage():
            yield _event(encode_usage_chunk(usage, head, chat=chat))
        yield _event(DONE)

    def _head(self) -> dict[str, Json]:
        created = int(time.time())  # noqa: TID251 - a stamp for people: nothing is decided by it
        return {"id": f"cmpl-{next(self._numbers)}", "created": created, "model": self._model}

    def _told(self, usage: Usage) -> None:
        self._tokens_told += usage.completion_tokens

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1


class _EventStream(StreamingResponse):
    """A stream that ends its events however it is left, even before anybody asked for the second of them."""

    def __init__(self, first: bytes, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(_joined(first, events), media_type="text/event-stream")
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events):
            await super().__call__(scope, receive, send)


async def _joined(first: bytes, events: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    yield first
    async for event in events:
        yield event


def _timeout_s(request: Request) -> float:
    """How long the gateway will wait for the whole answer: what it says, else what its own clients get."""
    said = request.headers.get("x-toque-timeout-ms", "")
    return int(said) / 1000 if said.isdecimal() and len(said) <= TIMEOUT_DIGITS_MAX else PromptContext().timeout_s


def _deadline(context: PromptContext) -> float:
    return asyncio.get_running_loop().time() + context.timeout_s


async def _in_time(answer: Awaitable[_Answer], deadline: float) -> _Answer:
    """Cancel what nobody waits for any more. Raises `UpstreamError` (504)."""
    try:
        async with asyncio.timeout_at(deadline):
            return await answer
    except TimeoutError as error:
        message = "The deadline of this request passed before its answer was complete."
        raise UpstreamError(message, status=504, code="deadline_exceeded") from error


async def _each_in_time(deltas: AsyncGenerator[Delta, None], deadline: float) -> AsyncGenerator[Delta, None]:
    """The same for pieces: each is waited for by whoever asks, so that no time limit spans two tasks."""
    while True:
        try:
            yield await _in_time(anext(deltas), deadline)
        except StopAsyncIteration:
            return


def _event(content: bytes) -> bytes:
    return b"data: %b\n\n" % content


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, ToqueError)
    return _encode(error)


async def _broken(_: Request, error: Exception) -> Response:
    return _encode(InternalError(f"The agent failed ({type(error).__name__}); its last lines on the server say why."))


def _encode(error: ToqueError) -> Response:
    response = Response(encode_error_body(error), error.status, media_type="application/json")
    for line in retry_fields(error).decode("ascii").splitlines():
        name, _, content = line.partition(": ")
        response.headers[name] = content
    return response
