"""What a live service decided comes out of its journal again: scaling both ways, a killed replica, clients that left."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cli.screen import Screen
from tests.service import Service, serving, until
from toque.cli.exits import Exit
from toque.model.messages import Abandoned, Failed, ReplicaFailed, StartReplica, StopReplica
from toque.records.journal import JournalReader

pytestmark = pytest.mark.slow

SETTINGS = """
records = { journal = "day.jsonl", access_log = "" }

[models.chat]
agent = "fake"
slots = 2
options = { ttft_s = 0.3, token_gap_s = 0.02, tokens = 20 }
replicas = { minimum_warm = 1, maximum = 4, scale_down_delay_s = 1 }
scaling = { stable_window_s = 2, burst_window_s = 1, interval_s = 0.5 }
"""


def leave_early(service: Service) -> None:
    """Begin a stream and go after its first event."""
    stream = service.stream()
    next(stream.events())
    stream.close()


def test_a_recorded_live_day_replays_to_identical_decisions(tmp_path: Path) -> None:
    with serving(tmp_path, SETTINGS) as service, ThreadPoolExecutor(16) as clients:
        answers = [clients.submit(service.ask) for _ in range(48)]
        left = [clients.submit(leave_early, service) for _ in range(6)]
        pids = until(lambda: pids if len(pids := service.pids()) >= 2 else None)
        os.kill(pids[0], signal.SIGKILL)
        for departure in left:
            departure.result()
        assert {answer.result()[0] for answer in answers} <= {200, 502, 503}
        service.ready(1)  # back at minimum warm
        assert service.stop(signal.SIGINT) == 0
    journal = tmp_path / "day.jsonl"
    with JournalReader(journal) as reader:
        steps = list(reader.steps())
    events = {type(event) for _, event, _ in steps}
    effects = {type(effect) for _, _, effects in steps for effect in effects}
    assert {Abandoned, Failed, ReplicaFailed} <= events
    assert {StartReplica, StopReplica} <= effects
    screen = Screen()
    assert screen.run("replay", str(journal)) == Exit.DONE, screen.shown
    assert screen.shown.startswith(f"the same: {len(steps)} steps, ")
