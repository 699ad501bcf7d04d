"""U12, U02, R14: another model answers when one fails, is full or too slow to begin; never where it may not, nor beyond the limit."""

import hashlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.service import Service, call, request, serving, until
from toque.testing import Answer, Ending, FakeEngine, in_background, stream_of

pytestmark = pytest.mark.slow

LEAVING, STAYING = "key-of-one-who-may-leave", "key-of-one-who-may-not"
KEYS = f"""
[keys.leaving]
sha256 = "{hashlib.sha256(LEAVING.encode()).hexdigest()}"
may_leave = true

[keys.staying]
sha256 = "{hashlib.sha256(STAYING.encode()).hexdigest()}"
"""
BROKEN = [Answer(500, [b"{}"])] * 1000
SMALL = '\n[models.small]\nagent = "fake"\nslots = 8\noptions = { tokens = 3, ttft_s = 0.001, token_gap_s = 0.001 }\n'
BUSY = """
[models.chat]
agent = "fake"
slots = 1
queue = { length_max = 0 }
fallback = { to = ["small"] }
options = { ttft_s = 0.01, token_gap_s = 0.05, tokens = 2000 }
"""


def upstream(name: str, engine: FakeEngine, more: str = "") -> str:
    return f'\n[models.{name}]\nagent = "openai"\nurl = "{engine.url}"\n{more}\n'


def elsewhere(name: str, engine: FakeEngine, more: str = "") -> str:
    """The same under an address that is not literally loopback, so that it counts as another machine."""
    return upstream(name, engine, more).replace("//127.0.0.1:", "//127.1:")


@contextmanager
def engines(*scripts: list[Answer]) -> Iterator[list[FakeEngine]]:
    with ExitStack() as stack:
        yield [stack.enter_context(in_background(FakeEngine(script))) for script in scripts]


def ask(service: Service, key: str = "", **fields: Any) -> tuple[int, dict[str, str], Any]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    status, fields_out, body = call(service.url, "POST", "/v1/chat/completions", request(**fields), headers)
    return status, dict(fields_out), json.loads(body)


# ---- on failure ------------------------------------------------------------------------------------------------------


def test_u12_the_openai_sdk_is_answered_by_the_fallback_plainly_and_streaming(tmp_path: Path) -> None:
    with engines(BROKEN) as (chat,):
        settings = upstream("chat", chat, 'fallback = { to = ["small"] }') + SMALL
        with serving(tmp_path, settings) as service:
            service.ready(name="small")
            client = OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0)
            hello: Any = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}
            plain = client.chat.completions.with_raw_response.create(**hello)
            assert plain.headers["x-toque-fallback"] == "small"
            assert plain.parse().choices[0].finish_reason == "stop"
            stream = client.chat.completions.with_raw_response.create(**hello, stream=True)
            assert stream.headers["x-toque-fallback"] == "small"
            assert [chunk.choices[0].finish_reason for chunk in stream.parse() if chunk.choices][-1] == "stop"
            client.close()

            life = [step["what"] for step in service.why(plain.headers["x-request-id"])["life"]]
            assert "goes on to small (failure: upstream_lost)" in life
            page = call(service.admin_url, "GET", "/metrics")[2].decode()
            assert 'toque_fallbacks_total{cause="failure",fallback="small",model="chat"} 2.0' in page
            assert 'toque_requests_total{class="interactive",model="small",outcome="ok",status="200"} 2.0' in page
            lines = [json.loads(line) for line in until(lambda: [e for e in service.errors if '"asked":"chat"' in e])]
            assert (lines[0]["model"], lines[0]["fallback"]) == ("small", "failure")


def test_u12_with_the_breaker_open_the_fallback_is_asked_at_once(tmp_path: Path) -> None:
    with engines(BROKEN) as (chat,):
        settings = upstream("chat", chat, 'fallback = { to = ["small"] }') + SMALL
        with serving(tmp_path, settings) as service:
            service.ready(name="small")
            assert {ask(service)[0] for _ in range(6)} == {200}
            seen = len(chat.requests)
            status, headers, _ = ask(service)
            assert (status, headers["x-toque-fallback"]) == (200, "small")
            assert len(chat.requests) == seen, "nobody knocked at the broken one"


def test_u13_and_u12_an_upstream_that_nobody_listens_at_is_replaced(tmp_path: Path) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/v1"
        chat = f'\n[models.chat]\nagent = "openai"\nurl = "{url}"\nfallback = {{ to = ["small"] }}\n'
        with serving(tmp_path, chat + SMALL) as service:
            service.ready(name="small")
            assert [ask(service)[:1] for _ in range(3)] == [(200,)] * 3


def test_u02_an_account_without_quota_is_passed_over_and_told_where_nobody_else_answers(tmp_path: Path) -> None:
    no_quota = [Answer(429, [b'{"error": {"message": "pay", "code": "insufficient_quota"}}'])] * 100
    with engines(no_quota) as (chat,):
        settings = upstream("chat", chat, 'fallback = { to = ["small"] }') + upstream("lone", chat) + SMALL
        with serving(tmp_path, settings) as service:
            service.ready(name="small")
            status, headers, _ = ask(service)
            assert (status, headers["x-toque-fallback"]) == (200, "small")
            assert len(chat.requests) == 1, "the same account is not asked again"
            status, headers, body = ask(service, model="lone")
            assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
            assert headers["x-should-retry"] == "false"


def test_a_callers_mistake_is_told_and_nobody_else_is_asked(tmp_path: Path) -> None:
    refusal = Answer(400, [b'{"error": {"message": "no such thing", "type": "invalid_request_error"}}'])
    with engines([refusal]) as (chat,):
        settings = upstream("chat", chat, 'fallback = { to = ["small"] }') + SMALL
        with serving(tmp_path, settings) as service:
            service.ready(name="small")
            status, headers, body = ask(service)
            assert (status, body["error"]["message"]) == (400, "no such thing")
            assert "x-toque-fallback" not in headers


def test_after_the_first_byte_no_fallback_continues_a_stream(tmp_path: Path) -> None:
    half = Answer(pieces=stream_of("Half", finish=None, is_done=False), ending=Ending.CLOSE)
    with engines([half]) as (chat,):
        settings = upstream("chat", chat, 'fallback = { to = ["small"] }') + SMALL
        with serving(tmp_path, settings) as service:
            service.ready(name="small")
            stream = service.stream()
            events = list(stream.events())
            stream.close()
            assert json.loads(events[-1])["error"]["code"] == "upstream_lost"
            assert "[DONE]" not in events


def test_r14_with_every_replica_dead_the_fallback_answers_until_one_is_back(tmp_path: Path) -> None:
    chat = """
[models.chat]
agent = "fake"
fallback = { to = ["small"] }
restart = { backoff_s_min = 2.0 }
options = { tokens = 3, ttft_s = 0.001, token_gap_s = 0.001 }
"""
    with serving(tmp_path, chat + SMALL) as service:
        service.ready()
        service.ready(name="small")
        assert "x-toque-fallback" not in ask(service)[1]
        pid = next(row["status"]["pid"] for row in service.replicas() if row["pool"] == "chat")
        os.kill(pid, signal.SIGKILL)
        until(lambda: not service.pool()["replicas"])
        status, headers, _ = ask(service)
        assert (status, headers["x-toque-fallback"]) == (200, "small")
        service.ready()
        assert "x-toque-fallback" not in ask(service)[1]


# ---- for want of room and patience -----------------------------------------------------------------------------------


def test_a_full_line_spills_over(tmp_path: Path) -> None:
    with serving(tmp_path, BUSY + SMALL) as service:
        service.ready()
        service.ready(name="small")
        long = service.stream()
        until(lambda: service.pool()["in_flight"] == 1)
        status, headers, _ = ask(service)
        assert (status, headers["x-toque-fallback"]) == (200, "small")
        life = [step["what"] for step in service.why(headers["x-request-id"])["life"]]
        assert "goes on to small (overload: queue_full)" in life
        long.close()


def test_a_cold_start_beyond_patience_spills_over_and_goes_on_for_the_next(tmp_path: Path) -> None:
    chat = """
[models.chat]
agent = "fake"
replicas = { minimum_warm = 0 }
fallback = { to = ["small"], patience_s = 0.5 }
options = { start_s = 3.0, tokens = 3 }
"""
    with serving(tmp_path, chat + SMALL, is_ready=False) as service, ThreadPoolExecutor(1) as clients:
        service.ready(name="small")
        status, headers, _ = clients.submit(ask, service).result()
        assert (status, headers["x-toque-fallback"]) == (200, "small")
        service.ready()
        assert "x-toque-fallback" not in ask(service)[1]


# ---- where it may not go, and beyond what limit ----------------------------------------------------------------------


def test_u12_a_local_only_key_never_leaves_this_machine(tmp_path: Path) -> None:
    with engines(BROKEN, []) as (chat, gpt):
        settings = upstream("chat", chat, 'fallback = { to = ["gpt"] }') + elsewhere("gpt", gpt) + KEYS
        with serving(tmp_path, settings) as service:
            for _ in range(8):  # beyond the breaker, too
                status, headers, body = ask(service, STAYING)
                assert status in (502, 503)
                assert "x-toque-fallback" not in headers
                assert "gpt" not in json.dumps(body)
            assert not gpt.requests
            status, headers, _ = ask(service, LEAVING)
            assert (status, headers["x-toque-fallback"]) == (200, "gpt")
            assert len(gpt.requests) == 1


def test_u12_at_the_spending_limit_nothing_more_is_bought_and_the_answer_says_so(tmp_path: Path) -> None:
    with engines(BROKEN, []) as (chat, gpt):
        settings = (
            "keyless_may_leave = true\nspending = { limit_per_hour = 0.001 }\n"
            + upstream("chat", chat, 'fallback = { to = ["gpt"] }')
            + elsewhere("gpt", gpt, "price = { input = 100.0, output = 100.0 }")
        )
        with serving(tmp_path, settings) as service:
            assert ask(service)[0] == 200
            until(lambda: service.get("/admin/v1/pools")["spent"] > 0.001)
            status, headers, body = ask(service)
            assert status == 502
            assert "gpt would exceed the spending limit of 0.001 an hour" in body["error"]["message"]
            life = [step["what"] for step in service.why(headers["x-request-id"])["life"]]
            assert any("no fallback took it: gpt would exceed" in what for what in life)
            assert len(gpt.requests) == 1
            assert ask(service, model="gpt")[0] == 200, "who names the paid model is no fallback"
