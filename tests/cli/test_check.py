"""`toque check`: what it looks at, and what it says to do."""

import json
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.screen import Screen
from toque.cli import fit_isolation
from toque.cli.exits import Exit
from toque.cli.findings import Finding, Verdict, check_addresses, check_fallbacks, check_files, check_keys
from toque.config.read import read_config
from toque.drivers.trial import Trial
from toque.model.service_spec import ServiceSpec

_FAKE = '[models.chat]\nagent = "fake"\n'


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """An environment whose caches are the test's own."""
    return {"XDG_CACHE_HOME": str(tmp_path / "cache")}


def _spec(tmp_path: Path, text: str) -> ServiceSpec:
    file = tmp_path / "toque.toml"
    file.write_text(text)
    return read_config(file, {}, {})


def _config(tmp_path: Path, text: str, *ports: int) -> str:
    file = tmp_path / "toque.toml"
    listen, admin = ports or (0, 0)
    file.write_text(f'listen = "127.0.0.1:{listen}"\nadmin_listen = "127.0.0.1:{admin}"\n{text}')
    return str(file)


def _only(findings: list[Finding], subject: str) -> Finding:
    (found,) = [finding for finding in findings if finding.subject == subject]
    return found


def test_what_would_work_is_told_line_by_line(tmp_path: Path, environment: Mapping[str, str]) -> None:
    screen = Screen(environment)
    assert screen.run("check", "--config", _config(tmp_path, _FAKE)) == Exit.DONE
    lines = screen.shown.splitlines()
    assert lines[0] == f"ok settings: {tmp_path}/toque.toml"
    assert "ok model chat: fake" in screen.shown
    assert "ok capacity: " in screen.shown
    assert not [line for line in lines if line.startswith("x ")]


def test_wrong_settings_end_the_check_with_their_place(tmp_path: Path, environment: Mapping[str, str]) -> None:
    screen = Screen(environment)
    assert screen.run("check", "--config", _config(tmp_path, "drain_s = 1\n")) == Exit.USAGE
    assert screen.shown.startswith(f"x  settings: {tmp_path}/toque.toml:3")
    assert "drain_s_max" in screen.shown


def test_a_model_that_is_not_there_fails_the_check(tmp_path: Path, environment: Mapping[str, str]) -> None:
    screen = Screen(environment)
    text = '[models.chat]\nsource = "./none.gguf"\n'
    assert screen.run("check", "--config", _config(tmp_path, text), "--json") == Exit.FAILED
    found = {finding["subject"]: finding for finding in json.loads(screen.shown)["findings"]}
    assert found["model chat"]["verdict"] == Verdict.FAULT
    assert "none.gguf" in found["model chat"]["text"]


def test_a_minimum_that_does_not_fit_fails_the_check(tmp_path: Path, environment: Mapping[str, str]) -> None:
    screen = Screen(environment)
    text = f'capacity = {{ memory = "1MiB" }}\n{_FAKE}'
    assert screen.run("check", "--config", _config(tmp_path, text)) == Exit.FAILED
    assert "needs " in screen.shown
    assert "minimum_warm" in screen.shown


def test_fewer_replicas_than_allowed_is_worth_a_note(tmp_path: Path, environment: Mapping[str, str]) -> None:
    screen = Screen(environment)
    text = f"capacity = {{ cores = 2 }}\n{_FAKE}threads = 1\nreplicas = {{ maximum = 8 }}\n"
    assert screen.run("check", "--config", _config(tmp_path, text)) == Exit.DONE
    assert "!  model chat: 2 replicas of 8 can run at once: needs 1 core, 0 left" in screen.shown


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        spec = _spec(tmp_path, f'listen = "127.0.0.1:{port}"\nadmin_listen = "off"\n')
        (found,) = check_addresses(spec)
    assert (found.verdict, found.subject) == (Verdict.FAULT, "listen")
    assert "in use" in found.text
    assert "another port" in found.fix


def test_a_key_of_a_hosted_model_must_be_where_the_settings_say(tmp_path: Path) -> None:
    spec = _spec(
        tmp_path, '[models.hosted]\nagent = "openai"\nurl = "https://api.example.com/v1"\nkey = "env:HOSTED"\n'
    )
    assert _only(list(check_keys(spec, {})), "key of hosted").verdict is Verdict.FAULT
    told = _only(list(check_keys(spec, {"HOSTED": "sk-canary"})), "key of hosted")
    assert told.verdict is Verdict.OK
    assert "sk-canary" not in told.text


def test_more_connections_than_open_files_is_worth_a_note(tmp_path: Path) -> None:
    (few,) = check_files(_spec(tmp_path, "limits = { connections_max = 10 }\n"))
    (many,) = check_files(_spec(tmp_path, "limits = { connections_max = 999999999 }\n"))
    assert (few.verdict, many.verdict) == (Verdict.OK, Verdict.NOTE)
    assert "ulimit -n" in many.fix


def test_chains_of_fallbacks_are_shown_with_where_they_lead_and_what_they_may_cost(tmp_path: Path) -> None:
    spec = _spec(
        tmp_path,
        """
spending = { limit_per_hour = 2.5 }
[models.chat]
agent = "fake"
fallback = { to = ["small", "gpt"], patience_s = 5 }
[models.small]
agent = "fake"
fallback = { to = ["gpt"] }
[models.gpt]
agent = "openai"
url = "https://api.example.com/v1"
price = { output = 10.0 }
[keys.ann]
sha256 = "ANN"
may_leave = true
[keys.bob]
sha256 = "BOB"
""".replace("ANN", "a" * 64).replace("BOB", "b" * 64),
    )
    gpt = "gpt (elsewhere, for ann; 2.5 an hour at most)"
    assert [(found.subject, found.text) for found in check_fallbacks(spec)] == [
        ("fallback of chat", f"chat -> small -> {gpt}; on failure, when full, after 5 s of waiting"),
        ("fallback of small", f"small -> {gpt}; on failure, when full, not for waiting"),
    ]


def test_without_keys_everybody_may_leave_or_nobody(tmp_path: Path) -> None:
    text = """
keyless_may_leave = true
[models.chat]
agent = "fake"
fallback = { to = ["gpt"] }
[models.gpt]
agent = "openai"
url = "https://api.example.com/v1"
"""
    (found,) = check_fallbacks(_spec(tmp_path, text))
    assert "gpt (elsewhere, for everybody)" in found.text


def test_what_holds_of_isolation_is_tried_and_told(tmp_path: Path, environment: Mapping[str, str]) -> None:
    screen = Screen(environment)
    text = f'{_FAKE}isolation = {{ service_class = "batch", cores = "4095", memory_bytes_max = "16MiB" }}\n'
    assert screen.run("check", "--config", _config(tmp_path, text)) == Exit.DONE
    assert "ok isolation: tried here, and found to hold: scheduling, nice, cores" in screen.shown
    assert "!  isolation of chat: toque may not use core 4095" in screen.shown
    assert "!  isolation of chat: a replica is killed at 16 MiB, and may need 64 MiB" in screen.shown
    assert "ok isolation of chat: batch: idle scheduling, nice 19" in screen.shown


def test_what_does_not_hold_matters_only_where_a_model_asks_for_it(
    tmp_path: Path, environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    missed = Trial(("cpu_max",), "", "this user may not make control groups", "run toque as a service")
    monkeypatch.setattr(fit_isolation, "try_isolation", lambda _: iter([missed]))
    told = "found not to hold here: cpu_max (this user may not make control groups); "
    (free,) = fit_isolation.check_isolation(_spec(tmp_path, _FAKE), environment)
    assert (free.verdict, free.text) == (Verdict.OK, told + "no model asks for it")
    asking = _spec(tmp_path, f"{_FAKE}isolation = {{ cpu_max = 2.0 }}\n")
    (asked,) = fit_isolation.check_isolation(asking, environment)
    assert (asked.verdict, asked.text) == (Verdict.NOTE, told + "chat would run without")
    assert asked.fix == "run toque as a service"


def test_a_model_in_pods_needs_no_file_here_and_a_cluster_that_is_away_is_told(
    tmp_path: Path, environment: Mapping[str, str]
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "current-context": "c",
                "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "users": [{"name": "u", "user": {"token": "canary"}}],
            }
        )
    )
    text = f"""
driver = "kubernetes"
kubernetes = {{ kubeconfig = "{kubeconfig}" }}
[models.chat]
source = "./nowhere.gguf"
pod = {{ image = "chat:1" }}
"""
    screen = Screen(environment)
    assert screen.run("check", "--config", _config(tmp_path, text)) == Exit.FAILED
    assert "ok model chat: llama.cpp, in Pods of chat:1" in screen.shown
    assert "cluster: Namespace default at https://127.0.0.1:9: the API server cannot be reached" in screen.shown
    assert "canary" not in screen.shown
