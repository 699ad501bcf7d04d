"""Power that is lost, disks that are slow, processes that are killed between two calls: what was acknowledged is there."""

import json
import os
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from openai import OpenAI

from tests.faults.disk import make_disk
from tests.faults.report import Report, lines_when_ended, report_on
from tests.service import Service, serving, until

SETTINGS = """
[models.chat]
agent = "fake"
slots = 8
"""
MIB = 2**20
NAMES = [f"item-{number}" for number in range(300)]
COMMIT = """
import sqlite3, sys
store = sqlite3.connect("store.sqlite", isolation_level=None)
store.execute("PRAGMA journal_mode = WAL")
store.execute("PRAGMA synchronous = FULL")
store.execute("CREATE TABLE t (x)")
store.execute(f"PRAGMA synchronous = {sys.argv[1]}")
store.execute("INSERT INTO t VALUES (1)")
import os; os._exit(0)
"""


def content() -> bytes:
    body = {"model": "chat", "messages": [{"role": "user", "content": "Hello."}]}
    lines = [{"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body} for name in NAMES]
    return "\n".join(map(json.dumps, lines)).encode()


def sdk(service: Service) -> OpenAI:
    return OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0, timeout=30)


def order(client: OpenAI, file_id: str) -> str:
    return client.batches.create(input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h").id


def completed(client: OpenAI, batch_id: str) -> int:
    counts = client.batches.retrieve(batch_id).request_counts
    assert counts is not None
    return counts.completed


def kill(service: Service) -> None:
    service.process.kill()
    assert service.process.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize(("synchronous", "rows"), [("FULL", [(1,)]), ("OFF", [])])
def test_b04_the_disk_of_these_tests_drops_what_was_not_synced(
    tmp_path: Path, synchronous: str, rows: list[tuple[int]]
) -> None:
    disk = make_disk(tmp_path)
    argv = [sys.executable, "-c", COMMIT, synchronous]
    subprocess.run(argv, check=True, cwd=tmp_path, env={**os.environ, **disk.environment})
    with closing(sqlite3.connect(disk.survivors(tmp_path / "after") / "store.sqlite")) as store:
        assert store.execute("SELECT x FROM t").fetchall() == rows


@pytest.mark.slow
def test_b04_what_was_answered_survives_a_loss_of_power(tmp_path: Path) -> None:
    """Three losses in a row: after the upload, after the order, and in the middle of the job."""
    disk = make_disk(tmp_path)
    folders = [tmp_path / name for name in ("first", "second", "third", "last")]
    folders[0].mkdir()
    sent = content()
    with serving(folders[0], SETTINGS, environment=disk.environment) as running, sdk(running) as client:
        file_id = client.files.create(file=("in.jsonl", sent), purpose="batch").id
        kill(running)
    disk.survivors(folders[1])
    with serving(folders[1], SETTINGS, environment=disk.environment) as running, sdk(running) as client:
        assert client.files.content(file_id).content == sent
        batch_id = order(client, file_id)
        kill(running)
    disk.survivors(folders[2])
    with serving(folders[2], SETTINGS, environment=disk.environment) as running, sdk(running) as client:
        told = until(lambda: completed(client, batch_id))
        kill(running)
    disk.survivors(folders[3])
    with serving(folders[3], SETTINGS) as running, sdk(running) as client:
        assert completed(client, batch_id) >= told
        lines = lines_when_ended(client, batch_id)
    assert str(report_on(NAMES, lines)) == str(Report(0, 0, 0, len(NAMES)))


@pytest.mark.slow
def test_b02_a_file_is_there_whole_when_its_upload_was_answered_and_not_at_all_before(tmp_path: Path) -> None:
    sent = content() * 40  # some MiB: several pieces
    with serving(tmp_path, SETTINGS) as running, sdk(running) as client:
        whole = client.files.create(file=("in.jsonl", sent), purpose="batch").id
        kill(running)
    with serving(tmp_path, SETTINGS) as running, sdk(running) as client:
        assert client.files.content(whole).content == sent
        with half_an_upload(running, sent):
            until(lambda: pieces(tmp_path) > len(sent) // MIB + 1)
            kill(running)
    with serving(tmp_path, SETTINGS) as running, sdk(running) as client:
        assert [stored.id for stored in client.files.list()] == [whole]
        assert client.files.content(whole).content == sent
    assert pieces(tmp_path) == len(sent) // MIB + 1


def half_an_upload(service: Service, sent: bytes) -> socket.socket:
    """Send all of an upload but its end."""
    port = int(service.url.rpartition(":")[2])
    part = b'--e\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + sent
    head = b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=e\r\n"
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    client.sendall(head + b"Content-Length: %d\r\n\r\n" % (len(part) + MIB) + part)
    return client


def pieces(folder: Path) -> int:
    with closing(sqlite3.connect(f"file:{folder}/jobs.sqlite?mode=ro", uri=True)) as store:
        return int(store.execute("SELECT COUNT(*) FROM pieces").fetchone()[0])


@pytest.mark.slow
def test_b15_a_disk_that_takes_a_second_for_each_commit_is_not_noticed_by_people(tmp_path: Path) -> None:
    disk = make_disk(tmp_path, sync_ms=1000)
    with serving(tmp_path, SETTINGS, environment=disk.environment) as running, sdk(running) as client:
        alone = times(running)
        batch_id = order(client, client.files.create(file=("in.jsonl", content()), purpose="batch").id)
        until(lambda: client.batches.retrieve(batch_id).status == "in_progress")
        beside = times(running)
        assert completed(client, batch_id) < len(NAMES)
    worst = [statistics.quantiles(taken, n=100)[98] for taken in (alone, beside)]
    print(f"P99 of 200 answers: {worst[0] * 1e3:.1f} ms alone, {worst[1] * 1e3:.1f} ms beside a job on the slow disk")
    assert worst[1] < 0.5


def times(service: Service) -> list[float]:
    """Ask for two hundred answers, one after the other, and return how long each took, in seconds."""
    taken = []
    for _ in range(200):
        began = time.perf_counter()
        status, _, _ = service.ask(max_tokens=1)
        taken.append(time.perf_counter() - began)
        assert status == 200
    return taken
