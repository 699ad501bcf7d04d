"""L05 to L08: settings that change, and settings that are wrong, while a service runs."""

import hashlib
import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.screen import Screen
from tests.service import Service, call, request, serving, until

pytestmark = pytest.mark.slow

CHAT = '[models.chat]\nagent = "fake"\nslots = 4\noptions = { token_gap_s = 0.02, tokens = 5 }\n'
OTHER = '[models.other]\nagent = "fake"\n'
HEAD = 'listen = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\n'


def write(folder: Path, settings: str) -> None:
    (folder / "toque.toml").write_text(HEAD + settings)


def reload(service: Service, query: str = "") -> tuple[int, Mapping[str, Any]]:
    status, _, body = call(service.admin_url, "POST", f"/admin/v1/reload{query}", b"")
    return status, json.loads(body)


def metric(service: Service, name: str) -> float:
    _, _, body = call(service.admin_url, "GET", "/metrics")
    return next(float(line.split()[1]) for line in body.decode().splitlines() if line.startswith(f"{name} "))


def pid(service: Service, name: str) -> int:
    rows = [row for row in service.replicas() if row["pool"] == name and row["replica"]["state"] == "ready"]
    return int(rows[0]["status"]["pid"]) if rows else 0


@pytest.mark.parametrize(
    ("wrong", "where", "hint"),
    [
        (CHAT.replace("slots = 4", "slots ="), "toque.toml:5:8", "TOML looks like"),
        (CHAT.replace("slots = 4", "slotz = 4"), "toque.toml:5:1", "Did you mean 'slots'?"),
        (CHAT + '[models.big]\nsource = "none.gguf"\n', "toque.toml:8", "none.gguf"),
    ],
)
def test_l05_wrong_settings_are_refused_with_their_place_and_the_old_ones_hold(
    tmp_path: Path, wrong: str, where: str, hint: str
) -> None:
    with serving(tmp_path, CHAT) as service:
        before = pid(service, "chat")
        write(tmp_path, wrong)
        status, body = reload(service)
        assert (status, body["error"]["code"]) == (422, "invalid_config")
        assert where in body["error"]["message"]
        assert hint in body["error"]["message"]
        assert metric(service, "toque_config_last_reload_successful") == 0
        assert metric(service, "toque_config_last_reload_timestamp_seconds") > 1e9
        screen = Screen()
        assert screen.run("reload", "--admin", service.admin_url) == 1
        assert where in screen.said
        assert service.ask()[0] == 200
        write(tmp_path, CHAT)
        assert reload(service) == (200, {"changes": [], "consequences": [], "is_dry_run": False})
        assert metric(service, "toque_config_last_reload_successful") == 1
        assert pid(service, "chat") == before


def test_l05_a_file_that_was_read_half_written_changes_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, CHAT) as service:
        write(tmp_path, "")
        status, body = reload(service)
        assert (status, "names no model any more" in body["error"]["message"]) == (422, True)
        assert service.ask()[0] == 200


def test_l05_what_only_a_restart_can_change_is_refused_and_nothing_is_applied(tmp_path: Path) -> None:
    with serving(tmp_path, CHAT) as service:
        (tmp_path / "toque.toml").write_text(HEAD.replace('"127.0.0.1:0"\nadmin', '"127.0.0.1:1"\nadmin') + OTHER)
        status, body = reload(service)
        assert status == 422
        assert "listen cannot change while toque runs. (" in body["error"]["message"]
        assert "restart" in body["error"]["message"]
        write(tmp_path, CHAT + "[jobs]\nin_flight_max = 5\n")
        assert "jobs.in_flight_max cannot change" in reload(service)[1]["error"]["message"]
        assert [pool["name"] for pool in service.get("/admin/v1/pools")["pools"]] == ["chat"]


def test_l06_a_removed_model_finishes_its_streams_and_is_then_unloaded(tmp_path: Path) -> None:
    long = CHAT.replace("tokens = 5", "tokens = 80")
    with serving(tmp_path, long + OTHER) as service:
        until(lambda: pid(service, "other"))
        gone = pid(service, "chat")
        stream = service.stream()
        assert next(stream.events())
        write(tmp_path, OTHER)
        status, body = reload(service)
        assert status == 200
        assert '- models.chat.agent = "fake"' in body["changes"]
        assert body["consequences"] == ["chat: is no longer served; what is in flight may take 30 s"]
        status, _, refusal = service.ask()
        assert (status, refusal["error"]["code"]) == (404, "model_not_found")
        listed = json.loads(call(service.url, "GET", "/v1/models")[2])
        assert [model["id"] for model in listed["data"]] == ["other"]
        assert service.pool("chat")["condition"] == "leaving"
        assert list(stream.events())[-1] == "[DONE]"
        until(lambda: [pool["name"] for pool in service.get("/admin/v1/pools")["pools"]] == ["other"])
        until(lambda: not Path(f"/proc/{gone}").exists())


def test_l07_only_the_changed_model_restarts_and_nobody_notices(tmp_path: Path) -> None:
    settings = CHAT + '[records]\njournal = "day.jsonl"\n'
    with serving(tmp_path, settings + OTHER) as service:
        until(lambda: pid(service, "other"))
        chat, other = pid(service, "chat"), pid(service, "other")
        outcomes: Counter[int] = Counter()
        is_over = threading.Event()

        def ask() -> None:
            while not is_over.is_set():
                outcomes[service.ask()[0]] += 1

        clients = [threading.Thread(target=ask) for _ in range(3)]
        for client in clients:
            client.start()
        write(tmp_path, settings.replace("tokens = 5", "tokens = 6") + OTHER)
        screen = Screen()
        assert screen.run("reload", "--admin", service.admin_url) == 0
        assert '+ models.chat.options = {"token_gap_s": 0.02, "tokens": 6}' in screen.shown
        assert "chat: its replicas are replaced" in screen.shown
        until(lambda: pid(service, "chat") not in {0, chat})
        until(lambda: not Path(f"/proc/{chat}").exists())
        is_over.set()
        for client in clients:
            client.join()
        assert set(outcomes) == {200}
        until(lambda: service.ask()[2]["usage"]["completion_tokens"] == 6)  # a second old one may remain
        assert pid(service, "other") == other
        assert service.stop() == 0
    replayed = Screen()
    assert replayed.run("replay", str(tmp_path / "day.jsonl")) == 0
    assert replayed.shown.startswith("the same: ")


def test_l07_limits_keys_and_bounds_change_without_any_restart(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"tq_good").hexdigest()
    with serving(tmp_path, CHAT) as service:
        before = pid(service, "chat")
        more = f'[keys.alice]\nsha256 = "{digest}"\n[limits]\nbody_bytes_max = 1024\n'
        bounds = "queue = { length_max = 0 }\nreplicas = { maximum = 2 }\n"
        write(tmp_path, CHAT + bounds + more)
        dry = reload(service, "?dry_run=1")
        assert dry[1]["is_dry_run"]
        assert service.pool()["maximum"] == 1
        status, told = reload(service)
        assert (status, told["changes"]) == (200, dry[1]["changes"])
        assert "chat: goes by the new settings at once; its replicas go on" in told["consequences"]
        assert service.pool()["maximum"] == 2
        assert service.ask()[0] == 401
        with_key = {"authorization": "Bearer tq_good"}
        assert call(service.url, "POST", "/v1/chat/completions", request(), with_key)[0] == 200
        large = request(user="x" * 2000)
        assert call(service.url, "POST", "/v1/chat/completions", large, with_key)[0] == 413
        assert pid(service, "chat") == before


def test_l08_of_a_storm_of_reloads_the_last_one_wins(tmp_path: Path) -> None:
    with serving(tmp_path, CHAT) as service:
        begun = time.monotonic()
        for length in range(1, 101):
            write(tmp_path, CHAT + f"queue = {{ length_max = {length} }}\n")
            service.process.send_signal(signal.SIGHUP)
        until(
            lambda: any(
                "+ models.chat.queue.length_max = 100" in one["changes"]
                for one in list(service.announced)
                if one["announcement"] == "Reloaded"
            )
        )
        gathered = (time.monotonic() - begun) / 0.1 + 2  # each waits a tenth of a second for more
        assert sum(one["announcement"] == "Reloaded" for one in service.announced) < gathered
        assert metric(service, "toque_config_last_reload_successful") == 1
        assert reload(service)[1]["changes"] == []
