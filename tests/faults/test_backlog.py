"""O04: a backlog that nobody can work off today, and people who do not notice it."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.test_batches import lines_of, sdk
from tests.service import Service, serving, until
from toque.model.messages import Arrived, Dispatch
from toque.model.ticket import ServiceClass
from toque.records.journal import JournalReader

pytestmark = pytest.mark.slow

SLOTS = 4
SETTINGS = f"""
records = {{ journal = "journal.jsonl" }}
[models.chat]
agent = "fake"
slots = {SLOTS}
options = {{ ttft_s = 0.05, token_gap_s = 0.005, tokens = 20 }}
batch = {{ preempt_patience_s = 0, preemptions_max = 1000 }}
queue = {{ ageing_s = 3600 }}
"""
"""Without the share of slots that batch is owed whoever waits: then nobody waits for it at all."""
ITEMS, PEOPLE = 5_000, 48


def talk(service: Service) -> bool:
    """Ask for a stream and read it to its end; whether it was whole."""
    stream = service.stream()
    *events, last = stream.events()
    stream.close()
    return last == "[DONE]" and json.loads(events[-1])["choices"][0]["finish_reason"] == "stop"


def test_o04_people_get_a_slot_in_the_step_in_which_they_arrive_however_much_batch_waits(tmp_path: Path) -> None:
    with serving(tmp_path, SETTINGS) as service:
        with sdk(service) as client, ThreadPoolExecutor(SLOTS) as people:
            uploaded = client.files.create(file=("in.jsonl", lines_of(ITEMS)), purpose="batch")
            batch = client.batches.create(
                input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
            )
            until(lambda: service.pool()["in_flight"] == SLOTS and service.pool()["waiting_batch"])
            assert all(people.map(lambda _: talk(service), range(PEOPLE)))
            done = until(lambda: client.batches.retrieve(batch.id).request_counts.completed)
            assert done < ITEMS, "people were beside it all the time"
            client.batches.cancel(batch.id)
            until(lambda: client.batches.retrieve(batch.id).status == "cancelled")
            assert client.batches.retrieve(batch.id).request_counts.failed == 0
        assert service.pool()["preempted"] > 0
    assert waits(tmp_path / "journal.jsonl") == [0.0] * PEOPLE


def waits(journal: Path) -> list[float]:
    """How long people's requests waited for a slot, by the clock of the core."""
    arrived: dict[int, float] = {}
    dispatched: dict[int, float] = {}
    with JournalReader(journal) as reader:
        for now, event, effects in reader.steps():
            if isinstance(event, Arrived) and event.ticket.service_class is ServiceClass.INTERACTIVE:
                arrived[event.ticket.id] = now
            dispatched |= {effect.ticket_id: now for effect in effects if isinstance(effect, Dispatch)}
    return [dispatched[ticket_id] - asked_at for ticket_id, asked_at in arrived.items()]
