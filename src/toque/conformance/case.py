"""A conformance case: what is promised, how it is tried, and the three ways it can end.

Law: a case returns what it saw when the promise was kept, raises `BrokenError` with what it saw when not, and `SkippedError` with
the reason when it cannot be tried.
"""

import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from toque.conformance.line import Answer, ClosedError, GarbledError, SilentError, line_to
from toque.conformance.target import Json, Target

Check: TypeAlias = Callable[[Target], Awaitable[str]]


class Verdict(StrEnum):
    """How a case ended."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    SKIPPED = "skipped"


class BrokenError(Exception):
    """The promise was not kept; the text says what was seen."""


class SkippedError(Exception):
    """The case cannot be tried here; the text says why."""


@dataclass(frozen=True, slots=True)
class Case:
    """One promise. `id` begins with the id of the fault it is about, or with A for the shape of answers.

    `waits_s` is how long it must wait by its nature. `is_alone`: others at the same time would disturb it, or it them.
    """

    id: str
    promise: str
    check: Check
    waits_s: float = 0.0
    is_alone: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a case."""

    id: str
    promise: str
    verdict: Verdict
    seen: str
    seconds: float


BROKEN_EXCHANGE = (ClosedError, SilentError, GarbledError, TimeoutError, OSError)
"""What trying can raise: there is no (whole) answer."""


# ---- what cases share


async def ask(target: Target, request: bytes) -> Answer:
    """Send a request over a connection of its own and read its answer."""
    async with line_to(target) as line:
        await line.send(request)
        return await line.answer()


def told(answer: Answer) -> str:
    """Say an answer in a few words: its status and its error code."""
    error = error_of(answer)
    code = error.get("code") or error.get("type") if error else None
    return f"{answer.status} {code}" if isinstance(code, str) else str(answer.status)


def error_of(answer: Answer) -> dict[str, Json]:
    """Return the object under `error`, or an empty one."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        return {}
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def expect(answer: Answer, statuses: Collection[int], more: str = "") -> str:
    """Return what was seen if the status is one of those promised; raise otherwise."""
    seen = told(answer) + more
    if answer.status not in statuses:
        raise BrokenError(seen)
    return seen


async def refusal(target: Target, request: bytes, statuses: Collection[int]) -> str:
    """Send what must be refused: an answer with one of these statuses, or a close without a word."""
    async with line_to(target) as line:
        with suppress(ClosedError):  # it need not read to the end what it refuses
            await line.send(request)
        try:
            return expect(await line.answer(), statuses)
        except ClosedError:
            return "closed without an answer"


def in_words(failure: Exception) -> str:
    """Say what a broken exchange looks like: one of BROKEN_EXCHANGE."""
    if isinstance(failure, OSError) and not isinstance(failure, TimeoutError):
        return f"no connection: {failure.strerror or failure}"
    return _WORDS[type(failure)]


_WORDS: Mapping[type[Exception], str] = {
    ClosedError: "closed without an answer",
    SilentError: "no answer in time",
    TimeoutError: "no end in time",
    GarbledError: "an answer that is not HTTP",
}
