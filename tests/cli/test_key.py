"""`toque key create`: shown once, known by its digest only."""

import hashlib
import json
import stat
import tomllib
from pathlib import Path

import pytest

from tests.cli.screen import Screen
from toque.cli.exits import Exit
from toque.cli.key import KEY_PREFIX


def test_the_key_alone_is_data_and_the_table_holds_its_digest() -> None:
    screen = Screen()
    assert screen.run("key", "create", "alice") == Exit.DONE
    key = screen.shown.strip()
    assert key.startswith(KEY_PREFIX)
    assert len(key) >= len(KEY_PREFIX) + 43
    assert key not in screen.said
    table = tomllib.loads(screen.said[screen.said.index("[keys") :])
    assert table == {"keys": {"alice": {"sha256": hashlib.sha256(key.encode()).hexdigest()}}}


def test_names_that_toml_would_split_are_quoted_and_models_are_listed() -> None:
    screen = Screen()
    screen.run("key", "create", "ci@example.com", "--model", "chat", "--model", "org/cold", "--json")
    told = json.loads(screen.shown)
    table = tomllib.loads(told["toml"])["keys"]["ci@example.com"]
    assert table == {"sha256": told["sha256"], "models": ["chat", "org/cold"]}
    assert screen.said == ""


def test_no_key_comes_twice() -> None:
    screens = [Screen() for _ in range(20)]
    for screen in screens:
        screen.run("key", "create", "a")
    assert len({screen.shown for screen in screens}) == 20


@pytest.mark.parametrize("name", ["", "two words", "x" * 129, "tab\t"])
def test_a_name_that_could_not_stand_in_the_settings_is_refused(name: str) -> None:
    screen = Screen()
    assert screen.run("key", "create", name) == Exit.USAGE
    assert screen.shown == ""


# ---- with a key file -------------------------------------------------------------------------------------------------

CLOSED = "http://127.0.0.1:9"
MODELS = '[models.chat]\nagent = "fake"\n'
IN_SETTINGS = f'[keys.old]\nsha256 = "{"a" * 64}"\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "toque.toml"
    path.write_text(f'keys_file = "keys.json"\n{MODELS}{IN_SETTINGS}')
    return path


def act(config: Path, *words: str) -> tuple[int, Screen]:
    screen = Screen()
    more = ("--admin", CLOSED) if words[0] != "ls" else ()
    return screen.run("key", *words, "--config", str(config), *more), screen


def listed(config: Path) -> dict[str, dict[str, object]]:
    _, screen = act(config, "ls", "--json")
    return {key["name"]: key for key in json.loads(screen.shown)["keys"]}


def test_a_key_file_gets_the_digest_and_its_owner_alone_reads_it(config: Path) -> None:
    status, screen = act(
        config,
        "create",
        "ci",
        "--model",
        "chat",
        "--class",
        "batch",
        "--limit",
        "tokens_per_day=1000",
        "--priority",
        "5",
    )
    assert status == Exit.DONE
    key, file = screen.shown.strip(), config.with_name("keys.json")
    assert json.loads(file.read_text())["keys"]["ci"] == {
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
        "models": ["chat"],
        "service_class": "batch",
        "priority": 5,
        "limits": {"tokens_per_day": 1000},
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert key not in file.read_text() + screen.said
    assert "No toque answers" in screen.said
    assert "from the next start" in screen.said


def test_ls_shows_what_keys_may_do_and_where_they_stand(config: Path) -> None:
    rights = ("--share", "2.5", "--priority-best", "1", "--may-leave", "--limit", "tokens_per_day=2000000")
    act(config, "create", "ci", "--expires", "2027-01-31", *rights)
    keys = listed(config)
    assert keys["ci"] == {
        "name": "ci",
        "service_class": "interactive",
        "priority": 3,
        "priority_best": 1,
        "share": 2.5,
        "models": [],
        "may_leave": True,
        "limits": {"tokens_per_day": 2_000_000},
        "expires_at": "2027-01-31T00:00:00Z",
        "former_until": None,
        "origin": str(config.with_name("keys.json")),
    }
    assert keys["old"]["origin"] == f"{config}:5"
    status, screen = act(config, "ls")
    assert status == Exit.DONE
    assert "3 (best 1)" in screen.shown
    assert "tokens_per_day=2000000" in screen.shown
    assert "a" * 64 not in screen.shown


def test_a_rotated_key_has_a_successor_and_a_while_of_grace(config: Path) -> None:
    _, first = act(config, "create", "ci")
    status, second = act(config, "rotate", "ci", "--grace", "1h", "--json")
    told = json.loads(second.shown)
    assert status == Exit.DONE
    entry = json.loads(config.with_name("keys.json").read_text())["keys"]["ci"]
    assert entry["former_sha256"] == hashlib.sha256(first.shown.strip().encode()).hexdigest()
    assert entry["sha256"] == told["sha256"] == hashlib.sha256(told["key"].encode()).hexdigest()
    assert entry["former_until"] == told["former_until"]
    assert told["is_in_force"] is False
    assert f"former key until {told['former_until']}" in act(config, "ls")[1].shown


def test_a_revoked_key_is_gone_and_the_file_stays(config: Path) -> None:
    act(config, "create", "ci")
    assert act(config, "revoke", "ci")[0] == Exit.DONE
    assert set(listed(config)) == {"old"}
    assert json.loads(config.with_name("keys.json").read_text()) == {"keys": {}}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "ci"), "there is a key 'ci' already"),
        (("create", "old"), "there is a key 'old' already"),
        (("create", "new", "--model", "chatt"), "Did you mean 'chat'?"),
        (("create", "new", "--limit", "requests=5"), "there is no limit 'requests'"),
        (("create", "new", "--limit", "in_flight_max=many"), "--limit in_flight_max=60"),
        (("create", "new", "--limit", "in_flight_max=1.5"), "keys.new.limits.in_flight_max must be a whole number"),
        (("create", "new", "--priority", "9"), "keys.new.priority must be at most 7, not 9"),
        (("create", "new", "--expires", "soon"), "must be a date or a time"),
        (("revoke", "someone"), "Known here: old, ci."),
        (("revoke", "old"), "stands in the settings"),
        (("rotate", "old"), "former_sha256"),
        (("rotate", "ci", "--grace", "long"), "write it as 0s, 15m, 24h or 7d"),
    ],
)
def test_what_cannot_be_done_is_told_and_nothing_changes(config: Path, words: tuple[str, ...], said: str) -> None:
    act(config, "create", "ci")
    before = config.with_name("keys.json").read_text()
    status, screen = act(config, *words)
    assert (status, screen.shown) == (Exit.USAGE, "")
    assert said in screen.said
    assert config.with_name("keys.json").read_text() == before


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("{", 0o600, "no JSON object"),
        ('{"keys": []}', 0o600, "no JSON object"),
        ('{"keys": {"ci": 5}}', 0o600, "no JSON object"),
        ('{"keys": {"old": {"sha256": "b"}}}', 0o600, "two keys 'old'"),
        ('{"keys": {"ci": {"sha256": "b"}}}', 0o600, "no SHA-256 digest"),
        ('{"keys": {"ci": {"sha256": "b", "sha": "b"}}}', 0o600, "Unknown key 'sha'"),
        ('{"keys": {}}', 0o622, "chmod 600"),
    ],
)
def test_a_key_file_that_cannot_be_trusted_is_refused(config: Path, content: str, mode: int, said: str) -> None:
    file = config.with_name("keys.json")
    file.write_text(content)
    file.chmod(mode)
    status, screen = act(config, "ls")
    assert status == Exit.USAGE
    assert said in screen.said
