"""Batch beside people over real processes: whoever waits gets a slot at once, and nothing of a job is lost or done twice."""

import json
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.faults.test_batches import ended, lines_of, order, output
from tests.service import Service, Stream, call, serving, until

FAKE = """
[models.chat]
agent = "fake"
slots = 2
options = { ttft_s = 0.02, token_gap_s = 0.05, tokens = 30 }
"""
ITEM_S = 1.5
"""What an item of a batch takes there."""
REAL = """
[models.chat]
agent = "llama.cpp"
source = "embedded"
context_tokens = 1024
slots = 2
threads = 1
"""


@contextmanager
def client_of(service: Service) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield client


def first_token_s(service: Service, **fields: Any) -> float:
    """Ask as a person does, and leave after the first word."""
    began = time.monotonic()
    stream = service.stream(**fields)
    for event in stream.events():
        if json.loads(event)["choices"][0]["delta"].get("content"):
            break
    took_s = time.monotonic() - began
    stream.close()
    return took_s


def saturated(service: Service, slots: int) -> None:
    until(lambda: service.pool()["batch_in_flight"] == slots)


def attempts(folder: Path) -> set[int]:
    with closing(sqlite3.connect(folder / "jobs.sqlite")) as database:
        return {int(row[0]) for row in database.execute("SELECT attempts FROM items")}


@pytest.mark.slow
def test_o05_a_person_gets_a_slot_of_a_job_that_holds_all_of_them(tmp_path: Path) -> None:
    with serving(tmp_path, FAKE) as service, client_of(service) as client:
        batch_id = order(client, lines_of(9))
        saturated(service, 2)
        waits_s = [first_token_s(service) for _ in range(3)]
        pool = service.pool()
        assert max(waits_s) < ITEM_S / 2, "nobody waited for the end of an item"
        assert pool["preempted"] >= 1
        assert attempts(tmp_path) <= {0, 1}, "to be put back is no attempt"
        assert pool["waiting_batch"] <= 16, "a few items wait, the job stays in the store"
        done = ended(client, batch_id)
        assert (done.request_counts.completed, done.request_counts.failed) == (9, 0)
        assert sorted(line["custom_id"] for line in output(client, done.output_file_id)) == [
            f"item-{number}" for number in range(9)
        ]
        metrics = call(service.admin_url, "GET", "/metrics")[2].decode()
        assert f'toque_preemptions_total{{model="chat"}} {float(service.pool()["preempted"])}' in metrics
        assert [replica["breaker"] for replica in service.pool()["replicas"]] == ["closed"]


@pytest.mark.slow
def test_o05_a_client_that_asked_for_flex_yields_too_and_is_answered_in_the_end(tmp_path: Path) -> None:
    with serving(tmp_path, FAKE) as service, ThreadPoolExecutor() as clients:
        flexible = [clients.submit(service.ask, service_tier="flex") for _ in range(2)]
        saturated(service, 2)
        assert first_token_s(service) < ITEM_S / 2
        answers = [answer.result() for answer in flexible]
        assert [status for status, _, _ in answers] == [200] * 2
        assert {body["usage"]["completion_tokens"] for _, _, body in answers} == {30}
        assert service.pool()["preempted"] == 1
        subjects = [headers["x-request-id"] for _, headers, _ in answers]
        lives = [[step["what"] for step in service.why(subject)["life"]] for subject in subjects]
        put_back = [life for life in lives if any("put back" in what for what in life)]
        assert len(put_back) == 1
        assert [what.split(":")[0] for what in put_back[0]] == [
            "arrived as batch for local",
            "dispatched to replica 1",
            "put back to the front of its line",
            "dispatched to replica 1",
            "finished",
        ]


@pytest.mark.slow
def test_o05_an_answer_that_flows_to_a_flexible_client_is_not_cut(tmp_path: Path) -> None:
    with serving(tmp_path, FAKE.replace("slots = 2", "slots = 1")) as service:
        stream: Stream = service.stream(service_tier="flex")
        events = stream.events()
        while not json.loads(next(events))["choices"][0]["delta"].get("content"):
            pass
        with ThreadPoolExecutor() as people:
            person = people.submit(service.ask, max_tokens=2)
            rest = list(events)
            assert rest[-1] == "[DONE]"
            assert person.result()[0] == 200
        stream.close()
        assert service.pool()["preempted"] == 0


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.usefixtures("embedded_model")
def test_o05_the_real_engine_answers_a_person_beside_a_job_that_fills_it(tmp_path: Path) -> None:
    question: dict[str, Any] = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}
    with serving(tmp_path, REAL) as service, client_of(service) as client:
        first_token_s(service, **question)
        service.idle()
        batch_id = order(client, lines_of(2, max_tokens=30))
        saturated(service, 2)
        person = service.stream(**question)
        assert list(person.events())[-1] == "[DONE]"
        person.close()
        life = service.why(person.response.headers["x-request-id"])["life"]
        assert [step["at_s"] < 0.5 for step in life if step["what"].startswith("dispatched")] == [True]
        assert service.pool()["preempted"] >= 1
        assert attempts(tmp_path) <= {0, 1}
        done = ended(client, batch_id)
        assert (done.request_counts.completed, done.request_counts.failed) == (2, 0)
        assert len(output(client, done.output_file_id)) == 2
