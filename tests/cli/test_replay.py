"""`toque replay`: a journal proves itself, or shows where it differs."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.cli.screen import Screen
from toque import __version__
from toque.cli.exits import Exit
from toque.core.fleet import Fleet
from toque.core.policy import Policy
from toque.core.scaling import POLICIES
from toque.model.decision import Desired, Observation
from toque.model.messages import (
    Abandoned,
    Arrived,
    Event,
    Finished,
    ReplicaLoaded,
    ReplicaReady,
    ReplicaSpawned,
    SpecChanged,
    Woke,
)
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec, ReplicaBounds, ScalingSpec
from toque.model.ticket import Ticket
from toque.records.journal import Header, JournalFile, JournalRing

_SPEC = FleetSpec((PoolSpec("chat", slots=2),), Resources(2**30, 4.0))
_EVENTS: list[tuple[float, Event]] = [
    (10.1, Arrived(Ticket(1, "chat", 100.0))),
    (10.2, ReplicaSpawned(1)),
    (10.3, ReplicaLoaded(1)),
    (10.4, ReplicaReady(1)),
    (11.0, Finished(1)),
]


_OTHER = PoolSpec("other", scaling=ScalingSpec(f"{__name__}:Three"), replicas=ReplicaBounds(maximum=3))
_RELOADED: list[tuple[float, Event]] = [
    *_EVENTS,
    (12.0, SpecChanged(FleetSpec((*_SPEC.pools, _OTHER), _SPEC.capacity))),
    (12.1, ReplicaReady(2)),
    (15.0, Woke()),
    (16.0, SpecChanged(FleetSpec((_OTHER,), _SPEC.capacity), ("other",))),
]


class Three(Policy):
    """A policy of the user's own."""

    interval_s = 2.0

    def __init__(self, spec: PoolSpec) -> None:
        self._spec = spec

    def desire(self, seen: Observation, now: float) -> Desired:
        return Desired(3, "three, always")


async def _write(path: Path, events: list[tuple[float, Event]]) -> None:
    fleet = Fleet(_SPEC, 10.0, {**POLICIES, _OTHER.scaling.policy: Three})
    journal = JournalFile(JournalRing(100), path, 2**20, Header(__version__, 10.0, _SPEC))
    for now, event in events:
        journal.record(now, event, fleet.handle(event, now))
    await journal.close()


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "day.jsonl"
    asyncio.run(_write(path, _EVENTS))
    return path


def test_an_untouched_journal_replays_the_same(journal: Path, screen: Screen) -> None:
    assert screen.run("replay", str(journal)) == Exit.DONE
    assert screen.shown.startswith("the same: 5 steps, ")


def test_a_journal_with_a_reload_in_it_replays_the_same_with_a_policy_that_came_with_it(
    tmp_path: Path, screen: Screen
) -> None:
    asyncio.run(_write(tmp_path / "reloaded.jsonl", _RELOADED))
    assert screen.run("replay", str(tmp_path / "reloaded.jsonl")) == Exit.DONE
    assert screen.shown.startswith("the same: 9 steps, ")


def test_a_decision_that_differs_is_shown_beside_the_recorded_one(journal: Path) -> None:
    text = journal.read_text("utf-8")
    journal.write_text(text.replace('"replica_id":1,"cold_start_s"', '"replica_id":9,"cold_start_s"'), "utf-8")
    screen, program = Screen(), Screen()
    assert screen.run("replay", str(journal)) == Exit.FAILED
    assert "different at step 4" in screen.shown
    assert "replica_id=9" in screen.shown
    assert "replica_id=1" in screen.shown
    assert program.run("replay", str(journal), "--json") == Exit.FAILED
    assert json.loads(program.shown)["difference"]["step"] == 4


def test_what_is_no_journal_is_told_with_its_line(tmp_path: Path, screen: Screen) -> None:
    (tmp_path / "notes").write_text("hello\n")
    assert screen.run("replay", str(tmp_path / "notes")) == Exit.USAGE
    assert "notes:1" in screen.said


def test_a_journal_that_is_not_there_is_told(tmp_path: Path, screen: Screen) -> None:
    assert screen.run("replay", str(tmp_path / "none")) == Exit.USAGE
    assert "cannot read" in screen.said


def test_a_journal_of_one_step_has_one_step(tmp_path: Path, screen: Screen) -> None:
    asyncio.run(_write(tmp_path / "short.jsonl", [(10.1, Abandoned(1))]))
    assert screen.run("replay", str(tmp_path / "short.jsonl")) == Exit.DONE
    assert screen.shown.startswith("the same: 1 step, 0 effects")
