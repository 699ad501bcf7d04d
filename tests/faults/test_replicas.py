"""R01, R02, R03, R07, R08, R12: replicas are killed, crash and never come up; clients hardly notice."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.service import Service, call, request, serving, until

pytestmark = pytest.mark.slow

TWO = """
[models.chat]
agent = "fake"
slots = 8
options = { ttft_s = 0.6, token_gap_s = 0.02, tokens = 40 }
replicas = { minimum_warm = 2, maximum = 2 }
"""


def busy_pid(service: Service) -> int:
    """The process of a replica that has a request in flight."""
    rows = [row for row in service.replicas() if row["replica"]["in_flight"]]
    return int(rows[0]["status"]["pid"]) if rows else 0


def test_r01_a_replica_killed_before_the_first_byte_costs_the_client_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, TWO) as service, ThreadPoolExecutor(1) as client:
        service.ready(2)
        answer = client.submit(service.ask)
        os.kill(until(lambda: busy_pid(service)), signal.SIGKILL)
        status, headers, body = answer.result()
        assert status == 200
        assert body["choices"][0]["finish_reason"] == "stop"
        life = [step["what"] for step in service.why(headers["x-request-id"])["life"]]
        assert sum("dispatched" in step for step in life) == 2
        service.ready(2)
        assert service.pool()["condition"] == "ok"


def test_r01_no_request_fails_while_a_replica_is_killed_under_load(tmp_path: Path) -> None:
    with serving(tmp_path, TWO) as service, ThreadPoolExecutor(16) as clients:
        service.ready(2)
        answers = [clients.submit(service.ask) for _ in range(48)]
        os.kill(until(lambda: busy_pid(service)), signal.SIGKILL)
        assert [answer.result()[0] for answer in answers] == [200] * 48


def test_r02_a_replica_killed_mid_stream_ends_with_an_error_event_and_no_done(tmp_path: Path) -> None:
    with serving(tmp_path, TWO) as service:
        service.ready(2)
        stream = service.stream()
        events = stream.events()
        for event in events:
            if "content" in json.loads(event)["choices"][0]["delta"]:
                break
        os.kill(busy_pid(service), signal.SIGKILL)
        rest = list(events)
        assert json.loads(rest[-1])["error"]["code"] == "upstream_lost"
        assert "[DONE]" not in rest
        service.idle()


def test_r07_a_crash_loop_is_told_at_once_and_with_the_last_words(tmp_path: Path) -> None:
    (tmp_path / "crashing.py").write_text(
        "import os, sys\n\n\nclass Crashing:\n    def __init__(self):\n"
        "        print('the engine is out of cheese', file=sys.stderr, flush=True)\n        os._exit(3)\n"
    )
    settings = """
[models.chat]
agent = "crashing:Crashing"
restart = { backoff_s_min = 0.05 }
"""
    with serving(tmp_path, settings, is_ready=False) as service:
        until(lambda: service.pool()["condition"] == "crash_loop")
        status, headers, body = service.ask()
        assert (status, body["error"]["code"]) == (503, "no_healthy_replica")
        assert 1 <= int(headers["retry-after"]) <= 60
        assert "exit" in service.pool()["reason"]


def test_r08_a_replica_that_never_becomes_ready_is_ended_and_its_waiters_are_told(tmp_path: Path) -> None:
    settings = """
[models.chat]
agent = "fake"
options = { start_s = 60 }
replicas = { minimum_warm = 0, startup_timeout_s = 1.0 }
"""
    with serving(tmp_path, settings, is_ready=False) as service, ThreadPoolExecutor(1) as client:
        answer = client.submit(service.ask)
        pid = until(lambda: next((row["status"]["pid"] for row in service.replicas()), 0))
        status, headers, body = answer.result()
        assert (status, body["error"]["code"]) == (503, "model_loading")
        assert int(headers["retry-after"]) >= 1
        until(lambda: not Path(f"/proc/{pid}").exists())


def test_r12_and_l04_nothing_outlives_a_toque_that_is_killed(tmp_path: Path) -> None:
    with serving(tmp_path, TWO) as service:
        service.ready(2)
        pids = service.pids()
        service.process.kill()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_one_crashing_model_leaves_the_others_alone(tmp_path: Path) -> None:
    settings = TWO + '\n[models.broken]\nagent = "nowhere.at_all:Class"\n'
    with serving(tmp_path, settings) as service:
        assert service.ask()[0] == 200
        status, _, body = call(service.url, "POST", "/v1/chat/completions", request(model="broken"))
        assert status == 503
        assert json.loads(body)["error"]["code"] == "no_healthy_replica"
