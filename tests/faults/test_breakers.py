"""U01, U04, R14, R15: replicas that fail, are busy or slow are left alone, told so, and taken back when they recover."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.service import Service, call, serving, until
from toque.testing.answers import Answer
from toque.testing.background import in_background
from toque.testing.engine import FakeEngine, Request

pytestmark = pytest.mark.slow

MOODY = '''
"""Answers as the file `mood` says: process id -> `fail`, or seconds to think."""

import asyncio
import json
import os
from pathlib import Path

from toque.model.errors import UpstreamError
from toque.model.inference import Completion, FinishReason, Usage


class Moody:
    async def generate(self, context):
        mood = json.loads(Path("mood").read_text()).get(str(os.getpid()), 0.02)
        if mood == "fail":
            raise UpstreamError("in no mood")
        await asyncio.sleep(mood)
        return Completion("well", FinishReason.STOP, Usage(5, 10))
'''
THREE = """
[models.chat]
agent = "moody:Moody"
slots = 4
replicas = { minimum_warm = 3, maximum = 3 }
breaker = { open_s_min = 1.0 }
ejection = { interval_s = 0.5 }
"""


class Mood:
    """What the replicas shall do, by process id; written whole, for they read it at any moment."""

    def __init__(self, folder: Path) -> None:
        (folder / "moody.py").write_text(MOODY)
        self._path = folder / "mood"
        self.set({})

    def set(self, moods: dict[int, str | float]) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(moods))
        fresh.replace(self._path)


def breakers(service: Service) -> list[str]:
    return [row["replica"]["breaker"] for row in service.replicas()]


def metrics(service: Service) -> str:
    return call(service.admin_url, "GET", "/metrics")[2].decode()


def turns(service: Service, state: str) -> float:
    """How often breakers came into a state, by the metrics."""
    name = f'toque_breaker_turns_total{{model="chat",state="{state}"}} '
    return next(float(line[len(name) :]) for line in metrics(service).splitlines() if line.startswith(name))


def load(service: Service, count: int) -> list[str]:
    """Ask so many times, four at a time; return the replicas that answered."""
    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda _: service.ask(), range(count)))
    assert {status for status, _, _ in answers} == {200}
    return [headers["x-toque-replica"] for _, headers, _ in answers]


def test_u04_and_r14_an_upstream_that_fails_is_left_alone_and_tried_again_by_one_request(tmp_path: Path) -> None:
    is_broken = [True]

    def script(_: Request) -> Answer:
        return Answer(500, [b"{}"]) if is_broken[0] else Answer()

    with in_background(FakeEngine(script)) as engine:
        settings = f"""
[models.chat]
agent = "openai"
url = "{engine.url}"
retry = {{ attempts_max = 0 }}
breaker = {{ open_s_min = 2.0 }}
"""
        with serving(tmp_path, settings) as service:
            assert [service.ask()[0] for _ in range(5)] == [502] * 5
            before = time.monotonic()
            status, headers, body = service.ask()
            assert time.monotonic() - before < 1.0, "nothing is waited for"
            assert (status, body["error"]["code"]) == (503, "no_healthy_replica")
            assert 1 <= int(headers["retry-after"]) <= 3
            assert len(engine.requests) == 5, "the upstream hears nothing of it"
            assert service.pool()["condition"] == "unhealthy"
            assert "5 failures in a row" in str(service.why("chat")["replicas"])

            until(lambda: breakers(service) == ["half_open"])
            assert service.ask()[0] == 502
            assert breakers(service) == ["open"]
            assert len(engine.requests) == 6
            is_broken[0] = False
            until(lambda: service.ask()[0] == 200)
            assert breakers(service) == ["closed"]
            assert len(engine.requests) == 7, "the first one that was let through was answered"
            assert (turns(service, "open"), turns(service, "closed")) == (2, 1)


def test_r14_an_upstream_that_could_not_be_reached_answers_within_one_interval_of_its_return(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = f"""
[models.chat]
agent = "openai"
url = "http://127.0.0.1:{port}/v1"
breaker = {{ open_s_min = 2.0 }}
"""
    with serving(tmp_path, settings) as service:
        status, _, body = service.ask()
        assert (status, body["error"]["code"]) == (503, "no_healthy_replica")
        assert breakers(service) == ["open"]
        assert "its address cannot be reached" in str(service.why("chat")["replicas"])
        with in_background(FakeEngine(port=port)) as engine:
            came_back_at = time.monotonic()
            until(lambda: service.ask()[0] == 200)
            assert time.monotonic() - came_back_at < 4.0, "two, and what a busy machine takes"
            assert len(engine.requests) == 1, "nobody knocked before"
        assert [row["replica"]["id"] for row in service.replicas()] == [1], "nothing was started anew"
        assert (turns(service, "open"), turns(service, "closed")) == (1, 1)


def test_u01_a_busy_upstream_is_left_alone_as_long_as_it_asked(tmp_path: Path) -> None:
    with in_background(FakeEngine([Answer(429, [b"{}"], fields={"retry-after": "2"})])) as engine:
        settings = f'[models.chat]\nagent = "openai"\nurl = "{engine.url}"\n'
        with serving(tmp_path, settings) as service:
            status, headers, _ = service.ask()
            assert (status, headers["retry-after"]) == (429, "2")
            assert breakers(service) == ["paused"]
            before = time.monotonic()
            assert service.ask()[0] == 200, "it waits for the end of the pause"
            assert time.monotonic() - before > 1.0
            assert (len(engine.requests), turns(service, "open")) == (2, 0)


def test_r14_when_all_replicas_fail_everybody_is_told_at_once_and_recovery_is_noticed(tmp_path: Path) -> None:
    mood = Mood(tmp_path)
    with serving(tmp_path, THREE) as service:
        service.ready(3)
        mood.set(dict.fromkeys(service.pids(), "fail"))
        until(lambda: service.ask()[0] == 503)
        assert set(breakers(service)) <= {"open", "half_open"}
        assert service.ask()[2]["error"]["code"] == "no_healthy_replica"
        mood.set({})
        until(lambda: service.ask()[0] == 200)
        until(lambda: service.ask()[0] == 200 and breakers(service) == ["closed"] * 3)


def test_a_slow_answer_is_asked_for_a_second_time_where_the_model_says_so(tmp_path: Path) -> None:
    mood = Mood(tmp_path)
    settings = THREE.replace("slots = 4", "slots = 4\nhedge = { enabled = true, after_s = 0.2 }")
    with serving(tmp_path, settings) as service:
        service.ready(3)
        slow, pid = next((str(row["replica"]["id"]), row["status"]["pid"]) for row in service.replicas())
        mood.set({pid: 20.0})
        answers = [service.ask(max_tokens=10) for _ in range(6)]
        assert {status for status, _, _ in answers} == {200}
        assert slow not in {headers["x-toque-replica"] for _, headers, _ in answers}
        assert 'toque_hedges_total{model="chat"} ' in (text := metrics(service))
        assert 'toque_hedges_total{model="chat"} 0.0' not in text
        service.idle()


def test_r15_load_moves_away_from_a_slow_replica_until_it_is_fast_again(tmp_path: Path) -> None:
    mood = Mood(tmp_path)
    with serving(tmp_path, THREE) as service:
        service.ready(3)
        slow, pid = next((str(row["replica"]["id"]), row["status"]["pid"]) for row in service.replicas())
        assert slow in load(service, 20)
        mood.set({pid: 0.4})
        until(lambda: load(service, 20) and turns(service, "ejected") >= 1)
        assert load(service, 100).count(slow) <= 3, "but for a probe now and then"
        assert "times as slow as its peers" in str(service.why("chat")["replicas"])
        mood.set({})
        until(lambda: load(service, 20) and breakers(service) == ["closed"] * 3)
        assert slow in load(service, 20)
