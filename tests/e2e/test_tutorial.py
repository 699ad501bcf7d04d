"""The tutorial, step by step, with its own commands: what it promises happens."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service import Service, serving, started, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.usefixtures("embedded_model")]

ROOT = Path(__file__).parents[2]
BURST_S = 120.0
"""What fifty requests may take on a machine that has other things to do."""
ASSUMED = """
[models.chat]
agent = "llama.cpp"
source = "embedded"
slots = 2
threads = 1
replicas = { minimum_warm = 1, maximum = 4 }
queue = { wait_s_max = 300 }
"""
SHORT = """
[models.chat]
agent = "llama.cpp"
source = "embedded"
slots = 2
replicas = { minimum_warm = 1, maximum = 2, scale_down_delay_s = 1 }
queue = { wait_s_max = 300 }
scaling = { interval_s = 0.2, stable_window_s = 2, burst_window_s = 1 }
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """What `toque up` assumes when nothing is set; only that a busy machine's line may wait longer."""
    (tmp_path / "toque.toml").write_text(ASSUMED)
    ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
    with started(["up", "--json", *ports, "--record-journal", "journal.jsonl"], tmp_path) as running:
        running.listening()
        running.announces("ModelReady")
        yield running


def toque(service: Service, *arguments: str) -> str:
    """Run a verb as in the second terminal; returns what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    argv = [sys.executable, "-m", "toque", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ps(service: Service) -> str:
    return toque(service, "ps", "--admin", service.admin_url)


def burst(service: Service, count: int = 50) -> "subprocess.Popen[str]":
    """The tutorial's burst, under way."""
    argv = [sys.executable, str(ROOT / "examples" / "burst.py"), str(count), service.url]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def outcome(sent: "subprocess.Popen[str]") -> list[str]:
    """What the burst tells at its end, a line a status."""
    told, _ = sent.communicate(timeout=BURST_S)
    return told.splitlines()[:-1]


def ready(service: Service) -> int:
    return [replica["state"] for replica in service.pool()["replicas"]].count("ready")


def test_serve_push_break_and_prove(service: Service, tmp_path: Path) -> None:
    # 1. Serve
    assert toque(service, "chat", "What is the capital of France?", "--max-tokens", "60", "--url", service.url).strip()
    assert re.search(r"1 of 1 replica ready", ps(service))
    # 2. Push
    sent = burst(service)
    until(lambda: ready(service) >= 2, BURST_S)
    assert re.search(r"^  2 +ready", ps(service), re.MULTILINE)
    assert outcome(sent) == ["50 x 200"]
    why = toque(service, "why", "chat", "--admin", service.admin_url)
    assert re.search(r"1 -> \d; wanted \d+ \(.*in flight.*\)", why)
    if len(os.sched_getaffinity(0)) == 2:
        assert "core" in _shortages(service)
    # 3. Break
    before = service.pids()
    sent = burst(service)
    victim = until(lambda: _busy_pid(service))
    os.kill(victim, signal.SIGKILL)
    assert outcome(sent) == ["50 x 200"]
    until(lambda: victim not in service.pids() and set(service.pids()) - set(before))
    assert f"{victim}" not in ps(service).split()
    # 5. Prove
    assert service.stop(signal.SIGINT) == 0
    assert re.match(r"the same: \d+ steps, \d+ effects", toque(service, "replay", str(tmp_path / "journal.jsonl")))


def test_calm_brings_the_pool_back_to_its_minimum(tmp_path: Path) -> None:
    with serving(tmp_path, SHORT) as service:
        sent = burst(service, 20)
        until(lambda: ready(service) == 2, BURST_S)
        assert outcome(sent) == ["20 x 200"]
        until(lambda: ready(service) == 1 and len(service.replicas()) == 1)
        decisions = service.why("chat")["decisions"]
        assert (decisions[-1]["before"], decisions[-1]["after"]) == (2, 1)


def test_the_life_of_a_request_is_told(service: Service) -> None:
    _, headers, _ = service.ask(max_tokens=3)
    told = toque(service, "why", headers["x-request-id"], "--admin", service.admin_url)
    assert re.search(r"arrived as interactive(.|\n)*dispatched to replica 1(.|\n)*finished: .* 3 out", told)


def _busy_pid(service: Service) -> int:
    rows = [row for row in service.replicas() if row["replica"]["in_flight"]]
    return int(rows[0]["status"]["pid"]) if rows else 0


def _shortages(service: Service) -> str:
    decisions: list[Any] = service.why("chat")["decisions"]
    return json.dumps([decision["shortage"] for decision in decisions])
