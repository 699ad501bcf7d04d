"""`toque key create`: shown once, known by its digest only."""

import hashlib
import json
import tomllib

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
