"""Several gateways on one PostgreSQL: they share the work, and each stands in for the others."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from openai import OpenAI

from tests.faults.report import Report, lines_when_ended, report_on
from tests.postgres import PostgresServer
from tests.service import Service, call, serving, until

SETTINGS = """
[models.chat]
agent = "fake"
slots = 4
[jobs]
lease_s = 2
"""
NAMES = [f"item-{number}" for number in range(2000)]


def content() -> bytes:
    body = {"model": "chat", "messages": [{"role": "user", "content": "Hello."}]}
    lines = [{"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body} for name in NAMES]
    return "\n".join(map(json.dumps, lines)).encode()


@contextmanager
def gateway(folder: Path, url: str) -> Iterator[tuple[Service, OpenAI]]:
    folder.mkdir()
    with (
        serving(folder, SETTINGS, environment={"TOQUE_JOBS_STORE": url}) as running,
        OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0, timeout=30) as client,
    ):
        yield running, client


def done(client: OpenAI, batch_id: str) -> int:
    counts = client.batches.retrieve(batch_id).request_counts
    assert counts is not None
    return counts.completed


def answered(service: Service) -> float:
    _, _, page = call(service.admin_url, "GET", "/metrics")
    found = re.findall(r'^toque_requests_total{.*model="chat".*} (\S+)$', page.decode(), re.MULTILINE)
    return sum(map(float, found))


@pytest.mark.slow
def test_b01_two_gateways_share_a_job_and_one_is_killed_in_the_middle(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    url = postgres_server.database()
    with gateway(tmp_path / "here", url) as (here, mine), gateway(tmp_path / "there", url) as (there, other):
        uploaded = mine.files.create(file=("in.jsonl", content()), purpose="batch")
        batch = other.batches.create(
            input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        until(lambda: all(answered(service) >= 20 for service in (here, there)))
        here.process.kill()
        assert done(other, batch.id) < len(NAMES)
        lines = lines_when_ended(other, batch.id)
        assert str(report_on(NAMES, lines)) == str(Report(0, 0, 0, len(NAMES)))
        assert [line["custom_id"] for line in lines] == NAMES
        counts = other.batches.retrieve(batch.id).request_counts
        assert counts is not None
        assert (counts.total, counts.completed, counts.failed) == (len(NAMES), len(NAMES), 0)
