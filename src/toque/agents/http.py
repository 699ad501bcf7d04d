"""The contract over one replica that speaks OpenAI's HTTP API: a child of ours, vLLM, SGLang, a hosted API.

Law: cancelling `generate`, or closing the iterator of `stream`, closes the call's socket at once, and the replica always
streams: llama.cpp does not notice a closed socket before it writes, while others are busy. No key is in a message.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress

from toque.agents.answer_body import (
    DONE,
    AnswerError,
    StreamedAnswer,
    decode_embeddings,
    error_message,
    invalid_answer,
)
from toque.agents.request_body import EMBEDDINGS, encode_json, encode_request, path_of
from toque.model.endpoint import Endpoint
from toque.model.errors import CallerError, UpstreamError
from toque.model.inference import Completion, Delta, PromptContext
from toque.model.ticket import FailureKind
from toque.wire.call import Reply, call
from toque.wire.connections import Connections
from toque.wire.sse import SseParser

EMBED_S_MAX = 600.0
"""A call for embeddings may take this long; like the OpenAI SDK's default."""
MESSAGE_CHARS_MAX = 500
"""What is passed on of a replica's error message."""
RETRY_AFTER_S_MAX = 60.0
"""Longer waits are cut to this: nobody should stay away from a fleet for the sake of one replica."""
_ERROR_BYTES_MAX = 64 * 1024
_TAIL_S_MAX = 0.2
"""How long a finished stream may take to end its HTTP body, so that its connection can be used again."""


class HttpAgent:
    """One replica. Opens connections when used, keeps idle ones; `close` ends them all."""

    def __init__(self, endpoint: Endpoint, model: str, *, connect_s: float = 2.0) -> None:
        self._connections = Connections(endpoint, connect_s=connect_s)
        self._model = model

    async def generate(self, context: PromptContext) -> Completion:
        """Answer in one piece. Raises `CallerError`, `AnswerError` or `CallLostError`."""
        texts: list[str] = []
        last = Delta()
        async with aclosing(self.stream(context)) as deltas:
            async for last in deltas:
                texts.append(last.text)
        assert last.finish_reason is not None
        assert last.usage is not None
        return Completion("".join(texts), last.finish_reason, last.usage, last.tool_calls)

    async def stream(self, context: PromptContext) -> AsyncGenerator[Delta, None]:
        """Answer piece by piece; tool calls come whole, with the last delta. Raises as `generate` does."""
        path = path_of(context)
        body = encode_request(context, self._model, streams=True)
        deadline = asyncio.get_running_loop().time() + context.timeout_s
        async with self._call(path, body, deadline, "text/event-stream") as reply:
            answer = StreamedAnswer()
            async with aclosing(_events(reply, deadline)) as events:
                async for data in events:
                    text = answer.feed(data)
                    if text:
                        yield Delta(text)
            yield answer.last()
            await _read_tail(reply)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector a text. Raises as `generate` does, `CallerError` where the replica cannot."""
        body = encode_json({"model": self._model, "input": list(texts), "encoding_format": "float"})
        vectors = decode_embeddings(await self._post(EMBEDDINGS, body, EMBED_S_MAX))
        if len(vectors) != len(texts):
            raise invalid_answer("has not one embedding a text")
        return vectors

    async def close(self) -> None:
        """End all connections; calls under way raise `CallLostError`."""
        await self._connections.close()

    async def _post(self, path: str, body: bytes, timeout_s: float) -> bytes:
        deadline = asyncio.get_running_loop().time() + timeout_s
        async with self._call(path, body, deadline, "application/json") as reply:
            with _as_timeout():
                async with asyncio.timeout_at(deadline):
                    return await reply.read()

    @asynccontextmanager
    async def _call(self, path: str, body: bytes, deadline: float, media_type: str) -> AsyncIterator[Reply]:
        """Yield the reply once it is known to be a good one; leaving the block closes the call."""
        left_s = deadline - asyncio.get_running_loop().time()
        headers = {
            "content-type": "application/json",
            "accept": media_type,
            "accept-encoding": "identity",
            "x-toque-timeout-ms": str(max(1, int(left_s * 1000))),
        }
        async with AsyncExitStack() as stack:
            with _as_timeout():
                async with asyncio.timeout_at(deadline):
                    opening = call(self._connections, "POST", path, headers=headers, body=body)
                    reply = await stack.enter_async_context(opening)
                    if reply.status != 200:
                        raise self._refusal(reply, await reply.read(_ERROR_BYTES_MAX))
            _check_head(reply, media_type)
            yield reply

    def _refusal(self, reply: Reply, body: bytes) -> CallerError | AnswerError:
        """Say whose fault a status is.

        1. 401, 403, or no quota left: we are not served, which is not the caller's fault.  2. 429, 503: the replica is
        busy; a 503 that does not say until when is a failure.  3. Other 4xx: the caller's.  4. The rest: the replica failed.
        """
        status = reply.status
        if status in {401, 403}:  # 1
            return AnswerError("The upstream does not accept the key configured for this model.", FailureKind.DENIED)
        if status == 429 and b'"insufficient_quota"' in body:
            return AnswerError("The upstream's account has no quota left.", FailureKind.DENIED, status=status)
        if status in {429, 503}:  # 2
            wait_s = _retry_after_s(reply)
            kind = FailureKind.BUSY if wait_s or status == 429 else FailureKind.ERROR
            return AnswerError("The replica is busy.", kind, status=status, retry_after_s=wait_s)
        if 400 <= status < 500 and status != 408:  # 3
            return CallerError(self._redacted(body) or f"The model refused the request ({status}).", status=status)
        return AnswerError(f"The replica failed (status {status}).", FailureKind.ERROR)  # 4

    def _redacted(self, body: bytes) -> str:
        """Return the replica's own words, without our key should it echo it, and not too many of them."""
        message = error_message(body)
        key = self._connections.endpoint.key
        if key is not None:
            message = message.replace(key.reveal(), "***")
        return message[:MESSAGE_CHARS_MAX]


async def _events(reply: Reply, deadline: float) -> AsyncGenerator[bytes, None]:
    """Yield the data of each server-sent event until the body ends, or its last event says so."""
    parser = SseParser()
    while True:
        with _as_timeout():
            async with asyncio.timeout_at(deadline):
                piece = await anext(reply, b"")
        if not piece:
            return
        for event in parser.feed(piece):
            if event.data == DONE:
                return
            yield event.data


async def _read_tail(reply: Reply) -> None:
    with suppress(TimeoutError, UpstreamError):
        async with asyncio.timeout(_TAIL_S_MAX):
            await reply.read(_ERROR_BYTES_MAX)


@contextmanager
def _as_timeout() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise AnswerError(
            "The answer was not complete within the time this request allowed.",
            FailureKind.TIMEOUT,
            status=504,
            code="deadline_exceeded",
        ) from error


def _check_head(reply: Reply, media_type: str) -> None:
    found = reply.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if found != media_type.encode("ascii"):
        raise invalid_answer(f"is not {media_type}")
    if reply.headers.get(b"content-encoding", b"identity") != b"identity":
        raise invalid_answer("is compressed, which it was asked not to be")


def _retry_after_s(reply: Reply) -> float:
    """Read Retry-After in seconds; the date form is rare, and read as one second."""
    said = reply.headers.get(b"retry-after", b"")
    if not said:
        return 0.0
    return min(float(said), RETRY_AFTER_S_MAX) if said.isdigit() else 1.0
