"""The shape of answers: errors as OpenAI's clients read them, streams to their end, usage, ids, and when to come again.

Law: what a client library relies on is looked at as the library does, not as a person would.
"""

import asyncio
from collections.abc import Callable, Iterator

import msgspec

from toque.conformance.case import BrokenError, Case, Check, SkippedError, ask, error_of, expect, told
from toque.conformance.line import Answer
from toque.conformance.target import CHAT, Target

ERROR_KEYS = {"message", "type", "param", "code"}
LONG_ID = "x" * 10_000
BURST = 200
RETRY_AFTER_S_MAX = 60
"""OpenAI's clients do not retry at all when told to wait for more than 120 s."""


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    completion_tokens: int


class _Body(msgspec.Struct):
    """An answer, or a chunk of one."""

    choices: list[_Choice] = []
    usage: _Usage | None = None


_ERRORS: dict[str, tuple[Callable[[Target], bytes], tuple[int, ...]]] = {
    "unknown-path": (lambda target: target.request("GET", "/no/such/path"), (404,)),
    "unknown-model": (lambda target: target.chat(model="no-such-model"), (404,)),
    "bad-json": (lambda target: target.request("POST", CHAT, body=b"{"), (400,)),
    "missing-messages": (lambda target: target.chat(messages=None), (400, 422)),
    "wrong-key": (
        lambda target: target.request(
            "POST", CHAT, "Authorization: Bearer sk-wrong", body=target.question(), has_key=False
        ),
        (401,),
    ),
    "no-key": (lambda target: target.request("POST", CHAT, body=target.question(), has_key=False), (401,)),
}


def cases() -> Iterator[Case]:
    """Section 4 of the contract."""
    for name, (request, statuses) in _ERRORS.items():
        wanted = " or ".join(map(str, statuses))
        yield Case(f"A-error-{name}", f"{wanted}, with message, type, param and code", _error(name, request, statuses))
    yield Case("A-error-unknown-model-code", "the code is model_not_found", _model_code)
    yield Case("A-request-id", "x-request-id on answers and on errors", _request_id)
    yield Case("S15-request-id-harmful", "a request id of 10 kB is replaced or refused, never sent back", _harmful_id)
    yield Case("A-plain-usage", "a plain answer has a choice, why it finished, and its usage", _plain)
    yield Case(
        "A-stream-done", "an event stream whose events are JSON, ending with why it finished and [DONE]", _stream
    )
    yield Case("A-stream-usage", "the usage comes in a stream's last chunk if asked for, and then only", _stream_usage)
    when = f"429 and 503 say when to come again: 1 to {RETRY_AFTER_S_MAX} whole seconds"
    yield Case("A-retry-after", when, _retry, is_alone=True)


def _error(name: str, request: Callable[[Target], bytes], statuses: tuple[int, ...]) -> Check:
    async def check(target: Target) -> str:
        if name in {"wrong-key", "no-key"} and target.key is None:
            raise SkippedError("no key was given to leave out")
        answer = await ask(target, request(target))
        seen = expect(answer, statuses)
        missing = ERROR_KEYS - set(error_of(answer))
        if missing:
            raise BrokenError(f"{seen}, without {', '.join(sorted(missing))}")
        return seen

    return check


async def _model_code(target: Target) -> str:
    answer = await ask(target, target.chat(model="no-such-model"))
    if error_of(answer).get("code") != "model_not_found":
        raise BrokenError(told(answer))
    return told(answer)


async def _request_id(target: Target) -> str:
    requests = {"an answer": target.chat(), "an error": target.request("GET", "/no/such/path")}
    without = [what for what, request in requests.items() if "x-request-id" not in (await ask(target, request)).fields]
    if without:
        raise BrokenError(f"none on {' and on '.join(without)}")
    return "on both"


async def _harmful_id(target: Target) -> str:
    answer = await ask(target, target.chat(f"X-Request-Id: {LONG_ID}"))
    if answer.fields.get("x-request-id") == LONG_ID:
        raise BrokenError(f"{answer.status}, sent back")
    return f"{answer.status}, replaced" if answer.status == 200 else told(answer)


async def _plain(target: Target) -> str:
    answer = await ask(target, target.chat())
    seen = expect(answer, (200,))
    try:
        body = msgspec.json.decode(answer.body, type=_Body)
    except msgspec.DecodeError:
        raise BrokenError(f"{seen}, not an answer in JSON") from None
    if not body.choices or not body.choices[0].finish_reason or body.usage is None:
        raise BrokenError(f"{seen}, but not whole")
    return f"{body.choices[0].finish_reason}, {body.usage.completion_tokens} tokens"


async def _stream(target: Target) -> str:
    answer = await ask(target, target.chat(stream=True))
    expect(answer, (200,))
    if not answer.fields.get("content-type", "").startswith("text/event-stream"):
        raise BrokenError(f"content-type {answer.fields.get('content-type')}")
    chunks = _chunks(answer)
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    if not reasons:
        raise BrokenError("never said why it finished")
    return f"{len(chunks)} chunks, {reasons[-1]}, [DONE]"


async def _stream_usage(target: Target) -> str:
    asked = _chunks(await ask(target, target.chat(stream=True, stream_options={"include_usage": True})))
    silent = _chunks(await ask(target, target.chat(stream=True)))
    if not asked or asked[-1].usage is None:
        raise BrokenError("asked for, and not in the last chunk")
    if any(chunk.usage for chunk in silent):
        raise BrokenError("sent without being asked for")
    return "in the last chunk, if asked for"


def _chunks(answer: Answer) -> list[_Body]:
    """Read a stream. Raises `BrokenError` where it is none, or does not end with [DONE]."""
    events = [line[5:].strip() for line in answer.body.splitlines() if line.startswith(b"data:")]
    if not events or events[-1] != b"[DONE]":
        raise BrokenError(f"{told(answer)}, does not end with [DONE]")
    try:
        return [msgspec.json.decode(event, type=_Body) for event in events[:-1]]
    except msgspec.DecodeError:
        raise BrokenError("an event is not JSON") from None


async def _retry(target: Target) -> str:
    burst = await asyncio.gather(*(ask(target, target.chat()) for _ in range(BURST)), return_exceptions=True)
    away = [answer for answer in burst if isinstance(answer, Answer) and answer.status in {429, 503}]
    if not away:
        raise SkippedError(f"{BURST} requests at once were not too many")
    waits = {answer.fields.get("retry-after", "") for answer in away}
    if not all(wait.isdigit() and 1 <= int(wait) <= RETRY_AFTER_S_MAX for wait in waits):
        raise BrokenError(f"{len(away)} refusals, Retry-After: {', '.join(sorted(waits)) or 'none'}")
    return f"{len(away)} refusals, all with Retry-After"
