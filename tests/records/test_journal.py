"""The journal: what is written comes back the same, and replays to the same decisions."""

from pathlib import Path

import pytest

from toque.core.fleet import Fleet
from toque.model.errors import ConfigError
from toque.model.messages import Arrived, Dispatch, Effect, Event, Failed, Finished, ReplicaReady, StartReplica, Woke
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec, ReplicaBounds
from toque.model.ticket import FailureKind, ServiceClass, Ticket
from toque.records.journal import Header, JournalFile, JournalReader, JournalRing, Step, decode_step, encode_step
from toque.sim.replay import replay

SPEC = FleetSpec((PoolSpec("chat", slots=2, replicas=ReplicaBounds(maximum=3)),), Resources(2**33, 8))


def recorded(count: int) -> list[Step]:
    """Run a small story on a real fleet: each request takes 0.3 s, one in seven is lost once."""
    fleet, steps, pending = Fleet(SPEC, 10.0), [], []

    def step(now: float, event: Event) -> None:
        effects = fleet.handle(event, now)
        steps.append((now, event, effects))
        for effect in effects:
            react(now, effect)

    def react(now: float, effect: Effect) -> None:
        match effect:
            case StartReplica(_, replica_id):
                pending.append((now + 0.5, ReplicaReady(replica_id, Resources(2**20))))
            case Dispatch(ticket_id):
                is_lost = ticket_id % 7 == 0 and now < 11.5
                pending.append((now + 0.3, Failed(ticket_id, FailureKind.ERROR) if is_lost else Finished(ticket_id)))

    step(10.0, Woke())
    tickets = (Ticket(number, "chat", 500.0, ServiceClass.INTERACTIVE, "alice") for number in range(count))
    pending += [(10.2 + ticket.id * 0.1, Arrived(ticket)) for ticket in tickets]
    while pending:
        pending.sort(key=lambda due: due[0])
        now, event = pending.pop(0)
        step(now, event)
    return steps


async def write(path: Path, steps: list[Step], bytes_max: int = 2**20) -> None:
    journal = JournalFile(JournalRing(10), path, bytes_max, Header("0", 10.0, SPEC))
    for now, event, effects in steps:
        journal.record(now, event, effects)
    await journal.close()


def test_every_step_survives_the_way_through_a_line() -> None:
    for step in recorded(30):
        assert decode_step(encode_step(*step)) == step


def test_a_ticket_written_before_there_were_priorities_has_the_usual_one() -> None:
    line = b'[1.0,"Arrived",{"ticket":{"id":7,"pool":"chat","deadline":9.0,"tenant":"alice"}},[]]'
    assert decode_step(line) == (1.0, Arrived(Ticket(7, "chat", 9.0, tenant="alice", priority=3, share=1.0)), [])


async def test_a_journal_file_replays_to_identical_decisions(tmp_path: Path) -> None:
    steps = recorded(40)
    await write(tmp_path / "j", steps)
    with JournalReader(tmp_path / "j") as journal:
        assert journal.header.spec == SPEC
        outcome = replay(journal.header.spec, journal.header.born, journal.steps())
    assert outcome.difference is None
    assert outcome.steps == len(steps)


async def test_a_tampered_journal_is_caught_at_the_first_different_step(tmp_path: Path) -> None:
    steps = recorded(40)
    index = next(i for i, (_, _, effects) in enumerate(steps) if any(isinstance(e, Dispatch) for e in effects))
    now, event, _ = steps[index]
    steps[index] = (now, event, [])
    await write(tmp_path / "j", steps)
    with JournalReader(tmp_path / "j") as journal:
        outcome = replay(journal.header.spec, journal.header.born, journal.steps())
    assert outcome.difference is not None
    assert outcome.difference.index == index
    assert outcome.difference.recorded == []
    assert outcome.difference.replayed


async def test_a_full_journal_stops_and_says_so(tmp_path: Path) -> None:
    await write(tmp_path / "j", recorded(400), bytes_max=20_000)
    lines = (tmp_path / "j").read_bytes().splitlines()
    assert lines[-1] == b'{"truncated":true}'
    assert (tmp_path / "j").stat().st_size < 21_000
    with JournalReader(tmp_path / "j") as journal:
        assert replay(journal.header.spec, journal.header.born, journal.steps()).difference is None


def test_what_is_no_journal_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "j").write_text("hello\n")
    with pytest.raises(ConfigError) as caught:
        JournalReader(tmp_path / "j")
    assert caught.value.where.endswith("j:1")
    with pytest.raises(ConfigError, match="cannot read"):
        JournalReader(tmp_path / "absent")


def test_the_ring_keeps_the_last_steps_only() -> None:
    ring = JournalRing(3)
    for now in range(5):
        ring.record(float(now), Woke(), [])
    assert [now for now, _, _ in ring.steps()] == [2.0, 3.0, 4.0]
