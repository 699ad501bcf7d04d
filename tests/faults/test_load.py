"""O01, O14, L01, L03, L09: bursts, cold models, shutdown and the instant of scale to zero."""

import json
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.service import call, request, serving, until

pytestmark = pytest.mark.slow


def test_o01_a_burst_of_ten_times_the_capacity_is_served_or_refused_and_nothing_else(tmp_path: Path) -> None:
    settings = """
[models.chat]
agent = "fake"
slots = 4
options = { ttft_s = 0.05, token_gap_s = 0.01, tokens = 20 }
replicas = { minimum_warm = 1, maximum = 1 }
queue = { length_max = 20 }
"""
    with serving(tmp_path, settings) as service, ThreadPoolExecutor(240) as clients:
        answers = [answer.result() for answer in [clients.submit(service.ask) for _ in range(240)]]
        outcomes = Counter(status for status, _, _ in answers)
        assert set(outcomes) == {200, 503}
        assert outcomes[200] >= 24
        for status, headers, body in answers:
            if status == 503:
                assert body["error"]["code"] == "queue_full"
                assert int(headers["retry-after"]) >= 1
                assert int(headers["retry-after-ms"]) >= 1
        service.idle()
        assert service.ask()[0] == 200


def test_o14_a_herd_on_a_cold_model_makes_exactly_one_start(tmp_path: Path) -> None:
    settings = """
[models.chat]
agent = "fake"
slots = 32
options = { start_s = 3.0, tokens = 3 }
replicas = { minimum_warm = 0, maximum = 4 }
"""
    with serving(tmp_path, settings, is_ready=False) as service, ThreadPoolExecutor(20) as clients:
        assert service.pool()["condition"] == "cold"
        answers = [answer.result() for answer in [clients.submit(service.ask) for _ in range(20)]]
        assert [status for status, _, _ in answers] == [200] * 20
        starts = [change for change in service.why("chat")["replicas"] if change["what"] == "ordered"]
        assert len(starts) == 1
        assert any(int(headers["x-toque-cold-start-ms"]) >= 2500 for _, headers, _ in answers)


def test_a_held_stream_gets_comments_while_its_model_loads(tmp_path: Path) -> None:
    settings = """
[models.chat]
agent = "fake"
options = { start_s = 2.5, tokens = 3 }
replicas = { minimum_warm = 0, maximum = 1 }
limits = { heartbeat_s = 0.5 }
""".replace("limits = { heartbeat_s = 0.5 }\n", "[limits]\nheartbeat_s = 0.5\n")
    with serving(tmp_path, settings, is_ready=False) as service:
        lines = [line.decode().strip() for line in service.stream().response]
        comments = [line for line in lines if line.startswith(":")]
        assert comments
        assert lines.index(comments[0]) < next(i for i, line in enumerate(lines) if line.startswith("data:"))
        assert lines[-2] == "data: [DONE]"


def test_l01_fifty_streams_finish_after_sigterm_and_newcomers_are_refused(tmp_path: Path) -> None:
    settings = """
lame_duck_s = 1.0
[models.chat]
agent = "fake"
slots = 64
options = { token_gap_s = 0.05, tokens = 120 }
"""
    with serving(tmp_path, settings) as service, ThreadPoolExecutor(50) as clients:
        streams = list(clients.map(lambda _: service.stream(), range(50)))
        ends = [clients.submit(lambda stream=stream: list(stream.events())[-1]) for stream in streams]
        until(lambda: service.pool()["in_flight"] == 50)
        service.process.send_signal(signal.SIGTERM)
        status, _, _ = until(lambda: next((r for r in [call(service.url, "GET", "/readyz")] if r[0] == 503), None))
        assert status == 503
        status, headers, body = call(service.url, "POST", "/v1/chat/completions", request())
        assert (status, json.loads(body)["error"]["code"]) == (503, "draining")
        assert headers["connection"] == "close"
        assert [end.result() for end in ends] == ["[DONE]"] * 50
        assert service.process.wait(30) == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_l03_a_second_signal_stops_at_once_and_leaves_no_child(tmp_path: Path, number: int, status: int) -> None:
    settings = '[models.chat]\nagent = "fake"\noptions = { ttft_s = 600 }\n'
    with serving(tmp_path, settings) as service:
        pids = service.pids()
        stream = ThreadPoolExecutor(1).submit(service.ask)
        until(lambda: service.pool()["in_flight"] == 1)
        service.process.send_signal(number)
        until(lambda: any(a["announcement"] == "Draining" for a in service.announced))
        service.process.send_signal(number)
        assert service.process.wait(15) == status
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        assert stream.exception() is not None or stream.result()[0] == 503


def test_l09_a_request_at_the_instant_of_scale_to_zero_is_served(tmp_path: Path) -> None:
    settings = """
[models.chat]
agent = "fake"
options = { tokens = 2 }
replicas = { minimum_warm = 0, maximum = 1, idle_to_zero_s = 0.1, scale_down_delay_s = 0.0 }
scaling = { interval_s = 0.05, stable_window_s = 1, burst_window_s = 1 }
"""
    with serving(tmp_path, settings, is_ready=False) as service:
        statuses = []
        for _ in range(8):
            statuses.append(service.ask()[0])
            until(
                lambda: (
                    any(r["state"] in {"draining", "stopping"} for r in service.pool()["replicas"])
                    or not service.pool()["replicas"]
                )
            )
        assert statuses == [200] * 8
