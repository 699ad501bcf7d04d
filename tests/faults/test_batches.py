"""Batches over real processes and the real SDK: what was acknowledged is done once, whoever is killed."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.faults.kill_points import RUN_AGAIN_MAX, trials
from tests.service import Service, serving, started, until

SETTINGS = """
[models.chat]
agent = "fake"
slots = 8
"""
ENDED = {"completed", "failed", "expired", "cancelled"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("batches"), SETTINGS) as running:
        yield running


def sdk(service: Service) -> OpenAI:
    return OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0, timeout=30)


@pytest.fixture
def client(service: Service) -> Iterator[OpenAI]:
    with sdk(service) as made:
        yield made


def lines_of(count: int, **changed: Any) -> bytes:
    lines = []
    for number in range(count):
        body = {"model": "chat", "messages": [{"role": "user", "content": f"Item {number}"}], **changed}
        lines.append({"custom_id": f"item-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body})
    return "\n".join(json.dumps(line) for line in lines).encode()


def order(client: OpenAI, content: bytes, endpoint: Any = "/v1/chat/completions") -> str:
    uploaded = client.files.create(file=("in.jsonl", content), purpose="batch")
    batch = client.batches.create(input_file_id=uploaded.id, endpoint=endpoint, completion_window="24h")
    return batch.id


def ended(client: OpenAI, batch_id: str) -> Any:
    def look() -> Any:
        batch = client.batches.retrieve(batch_id)
        counts = batch.request_counts
        assert counts is not None
        assert counts.completed + counts.failed <= counts.total
        return batch if batch.status in ENDED else None

    return until(look)


def output(client: OpenAI, file_id: str | None) -> list[Any]:
    assert file_id is not None
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()]


def test_the_sdk_uploads_runs_and_downloads_a_batch(client: OpenAI) -> None:
    content = lines_of(40)
    uploaded = client.files.create(file=("in.jsonl", content), purpose="batch")
    assert (uploaded.bytes, uploaded.filename, uploaded.purpose) == (len(content), "in.jsonl", "batch")
    assert client.files.content(uploaded.id).content == content
    batch = client.batches.create(
        input_file_id=uploaded.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"team": "blue"},
    )
    assert batch.status in {"validating", "in_progress"}
    done = ended(client, batch.id)
    assert (done.status, done.metadata, done.errors, done.error_file_id) == ("completed", {"team": "blue"}, None, None)
    assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (40, 40, 0)
    answers = output(client, done.output_file_id)
    assert [answer["custom_id"] for answer in answers] == [f"item-{number}" for number in range(40)]
    assert all(answer["response"]["status_code"] == 200 for answer in answers)
    assert answers[0]["response"]["body"]["choices"][0]["message"]["content"]
    assert done.id in [listed.id for listed in client.batches.list(limit=5)]
    assert done.output_file_id in [listed.id for listed in client.files.list()]
    client.files.delete(uploaded.id)
    with pytest.raises(NotFoundError):
        client.files.retrieve(uploaded.id)


def test_b10_the_sdk_reads_what_is_wrong_with_an_input(client: OpenAI) -> None:
    broken = lines_of(3).splitlines()
    broken[1] = b"{"
    failed = ended(client, order(client, b"\n".join(broken)))
    assert failed.status == "failed"
    assert [(error.line, error.code) for error in failed.errors.data] == [(2, "invalid_json")]
    streaming = ended(client, order(client, lines_of(1, stream=True)))
    assert [(error.line, error.param) for error in streaming.errors.data] == [(1, "body.stream")]
    unknown = ended(client, order(client, lines_of(1, model="nobody")))
    assert [error.code for error in unknown.errors.data] == ["model_not_found"]


def test_wrong_orders_are_refused_at_once(client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="purpose"):
        client.files.create(file=("in.jsonl", b"{}"), purpose="fine-tune")
    with pytest.raises(BadRequestError, match="no such file"):
        client.batches.create(input_file_id="file-nothere", endpoint="/v1/chat/completions", completion_window="24h")
    uploaded = client.files.create(file=("in.jsonl", b"{}"), purpose="batch")
    with pytest.raises(BadRequestError, match="completion_window"):
        client.batches.create(
            input_file_id=uploaded.id,
            endpoint="/v1/chat/completions",
            completion_window="3d",  # type: ignore[arg-type]
        )


@pytest.mark.parametrize("name", ["../../etc/passwd", "file-x", "%2e%2e", "a" * 300])
def test_s06_a_name_that_is_none_is_not_found(client: OpenAI, name: str) -> None:
    with pytest.raises(NotFoundError):
        client.files.retrieve(name)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_b01_a_gateway_killed_at_any_point_of_a_job_loses_nothing_and_doubles_nothing(
    store: str, tmp_path: Path
) -> None:
    """Three of the hundred points that `python -m tests.faults.kill_points` tries, of three phases."""
    for trial in trials(store, [1, 2, 3], tmp_path):
        assert trial.is_good, str(trial)
        assert trial.again <= RUN_AGAIN_MAX, str(trial)


@pytest.mark.slow
def test_l13_a_second_gateway_on_one_store_is_told_who_has_it(tmp_path: Path) -> None:
    with serving(tmp_path, SETTINGS) as first:
        with started(["up", "--config", str(tmp_path / "toque.toml")], tmp_path) as second:
            assert second.process.wait(30) == 2
        assert f"process {first.process.pid} on" in "".join(second.errors)


@pytest.mark.slow
def test_the_command_line_submits_waits_and_downloads(service: Service, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines_of(5))

    def toque(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "toque", "batch", *arguments, "--url", service.url]
        return subprocess.run(argv, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    submitted = toque("submit", "in.jsonl", "--wait", "--json")
    batch = json.loads(submitted.stdout)
    assert (batch["status"], batch["request_counts"]["completed"]) == ("completed", 5)
    assert batch["id"] in toque("ls").stdout
    assert toque("download", batch["id"], "-o", "out.jsonl").returncode == 0
    assert [json.loads(line)["custom_id"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [
        f"item-{number}" for number in range(5)
    ]
    without_errors = toque("download", batch["id"], "--errors")
    assert without_errors.returncode == 1
    assert "no failed requests" in without_errors.stderr
    assert "completed" in toque("cancel", batch["id"]).stdout
    (tmp_path / "bad.jsonl").write_text("{")
    refused = toque("submit", "bad.jsonl", "--wait")
    assert refused.returncode == 1
    assert "line 1: invalid_json" in refused.stderr


OFFLINE = ["run", "in.jsonl", "-o", "out.jsonl", "--model", "chat", "--config", "toque.toml"]


@pytest.mark.slow
def test_a_file_runs_without_a_server_and_fails_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "toque.toml").write_text(SETTINGS)
    bare = [json.dumps({"messages": [{"role": "user", "content": f"Item {number}"}]}) for number in range(20)]
    (tmp_path / "in.jsonl").write_text("\n".join(bare))
    with started([*OFFLINE, "--json"], tmp_path) as run:
        assert run.process.wait(60) == 0
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [answer["custom_id"] for answer in answers] == [f"line-{number}" for number in range(1, 21)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl", "toque.toml"]
    (tmp_path / "in.jsonl").write_text("{")
    with started(OFFLINE, tmp_path) as run:
        assert run.process.wait(60) == 1
    assert "line 1: invalid_json" in "".join(run.errors)


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "toque.toml").write_text(SETTINGS)
    (tmp_path / "in.jsonl").write_bytes(lines_of(400))
    store = tmp_path / "out.jsonl.toque"
    with started(OFFLINE, tmp_path) as run:
        until(lambda: done_in(store) >= 20)
        run.process.kill()
        run.process.wait(10)
    assert not (tmp_path / "out.jsonl").exists()
    before = done_in(store)
    assert before < 400
    with started(OFFLINE, tmp_path) as run:
        assert run.process.wait(60) == 0
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [answer["custom_id"] for answer in answers] == [f"item-{number}" for number in range(400)]


def done_in(store: Path) -> int:
    """How many items a store has answers of, as somebody else may look."""
    if not store.exists():
        return 0
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        try:
            return int(connection.execute("SELECT COUNT(*) FROM items WHERE state = 'completed'").fetchone()[0])
        except sqlite3.OperationalError:
            return 0
