"""The life of a key beside a running service: made, used, rotated and revoked by `toque key`, and never printed again."""

import json
import signal
from pathlib import Path

import pytest

from tests.cli.screen import Screen
from tests.service import Service, call, request, serving, until
from toque.cli.exits import Exit

pytestmark = pytest.mark.slow

SETTINGS = 'keys_file = "keys.json"\n[models.chat]\nagent = "fake"\noptions = { tokens = 2 }\n'


def act(service: Service, folder: Path, *words: str) -> Screen:
    screen = Screen()
    argv = ("key", *words, "--config", str(folder / "toque.toml"), "--admin", service.admin_url)
    assert screen.run(*argv) == Exit.DONE, screen.said
    return screen


def status(service: Service, key: str) -> int:
    return call(service.url, "POST", "/v1/chat/completions", request(), {"authorization": f"Bearer {key}"})[0]


def test_a_key_is_made_rotated_and_revoked_while_the_service_runs(tmp_path: Path) -> None:
    with serving(tmp_path, SETTINGS) as service:
        assert status(service, "none") == 401, "with a key file nobody passes without a key"
        made = act(service, tmp_path, "create", "alice")
        first = made.shown.strip()
        assert "goes by it now" in made.said
        assert status(service, first) == 200
        rotated = json.loads(act(service, tmp_path, "rotate", "alice", "--json").shown)
        assert rotated["is_in_force"]
        assert [status(service, key) for key in (first, rotated["key"])] == [200, 200]
        second = json.loads(act(service, tmp_path, "rotate", "alice", "--grace", "0s", "--json").shown)["key"]
        assert [status(service, key) for key in (first, rotated["key"], second)] == [401, 401, 200]
        assert "goes by it now" in act(service, tmp_path, "revoke", "alice").said
        assert status(service, second) == 401
        service.stop()
        told = json.dumps(service.announced) + "".join(service.errors) + (tmp_path / "keys.json").read_text()
        assert not [key for key in (first, rotated["key"], second) if key in told]


def test_a_changed_key_file_is_read_on_sighup_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    with serving(tmp_path, SETTINGS) as service:
        screen = Screen()
        argv = ("key", "create", "bob", "--config", str(tmp_path / "toque.toml"), "--admin", "http://127.0.0.1:9")
        assert screen.run(*argv) == Exit.DONE
        assert status(service, screen.shown.strip()) == 401
        service.process.send_signal(signal.SIGHUP)
        until(lambda: status(service, screen.shown.strip()) == 200)
        file.write_text(file.read_text()[:-9])
        service.process.send_signal(signal.SIGHUP)
        service.announces("ReloadRefused")
        assert status(service, screen.shown.strip()) == 200
