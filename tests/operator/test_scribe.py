"""What is written about pools: only what changed, at most so much at a time, and everybody in turn."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
import pytest

from tests.drivers.bench import until
from tests.operator.test_roll import pool, roll
from tests.operator.test_status import decided, replica, view
from toque.model.resources import Resources
from toque.model.view import FleetView, PoolView
from toque.operator.happenings import AGAIN_S, BURST_MAX, Happenings
from toque.operator.roll import Entry
from toque.operator.scribe import WRITINGS_PER_BEAT_MAX, Scribe, Subject


@dataclass
class Paper:
    told: list[str] = field(default_factory=list)
    reported: list[tuple[str, str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """What the API server answers to the next writings."""

    async def tell(self, name: str, status: Mapping[str, Any]) -> None:
        if self.statuses:
            request = httpx2.Request("PATCH", "http://127.0.0.1/")
            answer = httpx2.Response(self.statuses.pop(0), request=request)
            raise httpx2.HTTPStatusError("no", request=request, response=answer)
        self.told.append(name)

    async def report(self, about: Mapping[str, object], kind: str, reason: str, message: str, now: float) -> None:
        self.reported.append((str(about["name"]), reason))


class Bench:
    def __init__(self, *names: str) -> None:
        self.paper = Paper()
        self.roll = roll()
        for name in names:
            self.roll.see(pool(name))
        self.roll.agree()
        self.pools = {name: replace(view(replica(1)), name=name) for name in names}
        self.beats = 0
        self.steps: int | None = None
        """How many the fleet took; None: one a look."""
        self.questions = 0
        subject = Subject(self.roll, self.view, self.count, "toque", lambda: 0.0)
        self.scribe = Scribe(subject, self.paper, self.looked)

    def view(self) -> FleetView:
        return FleetView(float(self.beats), False, Resources(), Resources(), tuple(self.pools.values()))

    def count(self) -> int:
        self.questions += 1
        return self.beats if self.steps is None else self.steps

    async def looked(self, _: FleetView) -> None:
        self.beats += 1

    async def beat(self, count: int = 1) -> None:
        goal = self.beats + count
        await until(lambda: self.beats > goal)


@asynccontextmanager
async def bench(monkeypatch: pytest.MonkeyPatch, *names: str, statuses: tuple[int, ...] = ()) -> AsyncIterator[Bench]:
    monkeypatch.setattr("toque.operator.scribe.BEAT_S", 0.005)
    made = Bench(*names)
    made.paper.statuses = list(statuses)
    task = asyncio.create_task(made.scribe.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_status_is_written_once_and_again_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(monkeypatch, "a", "b") as made:
        await made.beat(3)
        assert made.paper.told == ["a", "b"]
        made.pools["b"] = replace(view(replica(1), replica(2)), name="b")
        await made.beat(3)
        assert made.paper.told == ["a", "b", "b"]


async def test_a_fleet_at_rest_is_not_looked_at_again_until_it_takes_a_step_or_the_roll_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with bench(monkeypatch, "a", "b") as made:
        made.steps = 1
        await until(lambda: made.paper.told == ["a", "b"] and made.scribe._told is not None)
        looks, asked = made.beats, made.questions
        await until(lambda: made.questions > asked + 5)
        assert made.beats == looks
        made.pools["b"] = replace(view(replica(1), replica(2)), name="b")
        made.steps = 2
        await until(lambda: made.paper.told == ["a", "b", "b"])
        made.roll.see(pool("c"))
        made.roll.agree()
        await until(lambda: made.paper.told[-1] == "c")


async def test_of_many_only_so_many_are_written_at_a_time_and_all_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"p{number}" for number in range(3 * WRITINGS_PER_BEAT_MAX)]
    async with bench(monkeypatch, *names) as made:
        while sorted(made.paper.told) != sorted(names):
            await made.beat()
            assert len(made.paper.told) + len(made.paper.reported) <= WRITINGS_PER_BEAT_MAX * made.beats
        assert len(made.paper.told) == len(names)


@pytest.mark.parametrize("status", [429, 500, 409])
async def test_what_could_not_be_written_is_written_later(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setattr("toque.kube.trouble.BACKOFF_S_MIN", 0.01)
    async with bench(monkeypatch, "a", statuses=(status,)) as made:
        await until(lambda: made.paper.told == ["a"])


async def test_what_may_not_be_written_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(monkeypatch, "a", "b", statuses=(403,)) as made:
        await made.beat(2)
        assert made.paper.told == ["b"]


async def test_a_failure_is_reported_as_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(monkeypatch, "a") as made:
        await made.beat()
        made.scribe.failed("a", "exited with code 1")
        await until(lambda: ("a", "ReplicaFailed") in made.paper.reported)


# ---- what is worth an Event ------------------------------------------------------------------------------------------

ENTRY = Entry("chat", "u1", 1)


def told(
    happenings: Happenings, seen: PoolView | None, now: float = 0.0, entry: Entry = ENTRY
) -> list[tuple[str, str, str]]:
    happenings.look(entry, seen, now)
    return happenings.due("chat", 100)


def test_another_number_is_told_with_its_reason_and_once() -> None:
    happenings = Happenings()
    assert told(happenings, view(replica(1), decision=decided(1, 1))) == [
        ("Normal", "Scaled", "0 -> 1: 2.10 requests in flight")
    ]
    assert told(happenings, view(replica(1))) == []
    assert told(happenings, view(replica(1), replica(2), wanted=2)) == [
        ("Normal", "Scaled", "1 -> 2: as many as there were")
    ]
    assert told(happenings, view(decision=decided(3, 0, bound="not above 0"))) == [
        ("Normal", "Scaled", "2 -> 0: not above 0")
    ]


def test_a_number_that_a_predecessor_wanted_too_is_no_news() -> None:
    kept = replace(ENTRY, status={"desired": 2})
    assert told(Happenings(), view(replica(1), replica(2)), entry=kept) == []


def test_the_same_failure_again_is_no_news_and_a_refused_spec_is_one() -> None:
    happenings = Happenings()
    for _ in range(3):
        happenings.failed("chat", "out of memory")
    assert told(happenings, None) == [("Warning", "ReplicaFailed", "out of memory")]
    refused = replace(ENTRY, complaint="spec.slots is no number")
    assert told(happenings, None, entry=refused) == [("Warning", "InvalidSpec", "spec.slots is no number")]
    assert told(happenings, None) == []


def test_of_one_pool_only_so_much_is_told_at_a_time() -> None:
    happenings = Happenings()
    for number in range(3 * BURST_MAX):
        happenings.failed("chat", f"reason {number}")
    burst = told(happenings, None)
    assert [each[2] for each in burst] == [f"reason {number}" for number in range(2 * BURST_MAX, 3 * BURST_MAX)]
    happenings.failed("chat", "one more")
    assert told(happenings, None, now=AGAIN_S / 2) == []
    assert told(happenings, None, now=AGAIN_S + 1) == [("Warning", "ReplicaFailed", "one more")]
