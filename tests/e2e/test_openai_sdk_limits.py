"""The openai SDK under a key with limits and rights: headers, RateLimitError, its own retries, tiers, and a day that survives a kill."""

import hashlib
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI, RateLimitError

from tests.service import Service, call, serving, until

pytestmark = pytest.mark.slow

MODEL = '[models.chat]\nagent = "fake"\noptions = { tokens = 4 }\n'
HELLO: Any = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}


def key(name: str, rights: str) -> str:
    return f'[keys.{name}]\nsha256 = "{hashlib.sha256(name.encode()).hexdigest()}"\n{rights}\n'


def client_of(service: Service, name: str, retries: int = 0) -> OpenAI:
    return OpenAI(base_url=f"{service.url}/v1", api_key=name, timeout=30, max_retries=retries)


def ask(client: OpenAI, times: int) -> None:
    for _ in range(times):
        client.chat.completions.create(**HELLO)


def used(path: Path) -> int:
    return int(json.loads(path.read_bytes())["uses"]["alice"]["tokens"]) if path.exists() else 0


def test_o08_the_sdk_reads_the_limits_raises_and_comes_again_when_it_is_told_to(tmp_path: Path) -> None:
    settings = MODEL + key("alice", "limits = { requests_per_minute = 60 }") + key("bob", "")
    with serving(tmp_path, settings) as service, client_of(service, "alice") as alice:
        told = alice.chat.completions.with_raw_response.create(**HELLO)
        assert told.headers["x-ratelimit-limit-requests"] == "60"
        with pytest.raises(RateLimitError) as caught:
            ask(alice, 200)
        assert caught.value.code == "rate_limit_exceeded"
        assert caught.value.response.headers["retry-after"] == "1"
        assert caught.value.response.headers["x-ratelimit-remaining-requests"] == "0"
        patient = alice.with_options(max_retries=3)
        assert [patient.chat.completions.create(**HELLO).choices[0].finish_reason for _ in range(2)]
        with client_of(service, "bob") as bob:
            assert bob.chat.completions.create(**HELLO).choices


def test_o07_the_sdk_reads_the_tier_that_it_really_had(tmp_path: Path) -> None:
    settings = MODEL + key("alice", "") + key("carol", "priority_best = 1")
    with serving(tmp_path, settings) as service:
        for name, asked, had in (
            ("alice", "priority", "default"),
            ("carol", "priority", "priority"),
            ("carol", "flex", "flex"),
        ):
            with client_of(service, name) as client:
                assert client.chat.completions.create(**HELLO, service_tier=asked).service_tier == had
                chunks = list(client.chat.completions.create(**HELLO, service_tier=asked, stream=True))
                assert chunks[0].service_tier == had
                with client.chat.completions.stream(**HELLO, service_tier=asked) as stream:
                    assert stream.get_final_completion().service_tier == had


def test_a_days_budget_survives_a_kill_and_a_reload_raises_it(tmp_path: Path) -> None:
    budget = "limits = {{ tokens_per_day = {} }}".format
    home = f'[records]\nstate_dir = "{tmp_path / "home"}"\n'
    with serving(tmp_path, MODEL + home + key("alice", budget(20))) as service, client_of(service, "alice") as alice:
        with pytest.raises(RateLimitError) as caught:
            ask(alice, 20)
        assert caught.value.code == "insufficient_quota"
        assert caught.value.response.headers["x-should-retry"] == "false"
        until(lambda: used(tmp_path / "home" / "usage.json") >= 20)
        service.process.send_signal(signal.SIGKILL)
        service.process.wait()
    with serving(tmp_path, MODEL + home + key("alice", budget(20))) as service, client_of(service, "alice") as alice:
        with pytest.raises(RateLimitError):
            alice.chat.completions.create(**HELLO)
        head = 'listen = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\n'
        (tmp_path / "toque.toml").write_text(head + MODEL + home + key("alice", budget(1000)))
        assert call(service.admin_url, "POST", "/admin/v1/reload", b"")[0] == 200
        told = alice.chat.completions.with_raw_response.create(**HELLO)
        assert 0 < int(told.headers["x-ratelimit-remaining-tokens"]) < 980, "what was used stays used"
