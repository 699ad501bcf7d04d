"""The whole kit: the table of its families, and the run of all cases against one target.

Law: every case has a bound in time; those that disturb or are disturbed run alone, after all others.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace

import msgspec

from toque.conformance import answers, bodies, connections, framing, leaving, limits, paths
from toque.conformance.case import (
    BROKEN_EXCHANGE,
    BrokenError,
    Case,
    Result,
    SkippedError,
    Verdict,
    ask,
    in_words,
    told,
)
from toque.conformance.target import Target
from toque.model.errors import CallerError, UpstreamError

FAMILIES = (framing, paths, limits, bodies, answers, connections, leaving)
AT_ONCE = 4
CASE_S_MAX = 60.0
"""On top of what a case waits for by its nature."""


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


def all_cases() -> Iterator[Case]:
    """Every case, in the order of the table."""
    for family in FAMILIES:
        yield from family.cases()


async def find_model(target: Target) -> Target:
    """Fill in the first model that is listed, unless one was named. Raises `CallerError`, `UpstreamError`."""
    try:
        answer = await ask(target, target.request("GET", "/models"))
    except BROKEN_EXCHANGE as failure:
        raise UpstreamError(f"Nothing answers at {target.authority}: {in_words(failure)}.") from failure
    if target.model:
        return target
    try:
        return replace(target, model=msgspec.json.decode(answer.body, type=_Models).data[0].id)
    except (msgspec.DecodeError, IndexError):
        message = f"GET {target.prefix}/models lists no model ({told(answer)}); name one with --model M."
        raise CallerError(message) from None


async def run_cases(target: Target, chosen: Sequence[Case]) -> AsyncIterator[Result]:
    """Run cases and yield what came of each, as it comes."""
    slots = asyncio.Semaphore(AT_ONCE)
    running = [
        asyncio.ensure_future(_run(target, case, None if case.waits_s else slots))
        for case in chosen
        if not case.is_alone
    ]
    try:
        for done in asyncio.as_completed(running):
            yield await done
        for case in chosen:
            if case.is_alone:
                yield await _run(target, case, None)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _run(target: Target, case: Case, slots: asyncio.Semaphore | None) -> Result:
    """Run one case; those that mostly wait need no slot."""
    if slots is not None:
        async with slots:
            return await _run(target, case, None)
    began = time.perf_counter()
    try:
        async with asyncio.timeout(CASE_S_MAX + case.waits_s):
            verdict, seen = Verdict.PASS, await case.check(target)
    except BrokenError as broken:
        verdict, seen = Verdict.FAIL, str(broken)
    except SkippedError as skipped:
        verdict, seen = Verdict.SKIPPED, str(skipped)
    except BROKEN_EXCHANGE as failure:
        verdict, seen = Verdict.FAIL, in_words(failure)
    return Result(case.id, case.promise, verdict, seen, round(time.perf_counter() - began, 3))
