"""`toque config show`: settings in force, as TOML, with their origins."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.cli.screen import Screen
from toque.cli.exits import Exit

_TEXT = """
drain_s_max = 7
[models."org/chat.v2"]
agent = "fake"
slots = 3
fields = ["a", "b"]
options = { gap_s = 0.5, "odd name" = true }
[keys."ci@example.com"]
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
models = ["org/chat.v2"]
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "toque.toml").write_text(_TEXT)
    return str(tmp_path / "toque.toml")


def test_it_prints_toml_that_gives_the_same_settings_again(config: str, tmp_path: Path) -> None:
    first, again = Screen(), Screen()
    assert first.run("config", "show", "--config", config) == Exit.DONE
    table = tomllib.loads(first.shown)
    assert table["models"]["org/chat.v2"]["options"] == {"gap_s": 0.5, "odd name": True}
    (tmp_path / "again.toml").write_text(first.shown)
    assert again.run("config", "show", "--config", str(tmp_path / "again.toml")) == Exit.DONE
    assert again.shown == first.shown


def test_origins_name_file_and_line_variable_or_default(config: str) -> None:
    screen = Screen({"TOQUE_LISTEN": "127.0.0.1:9000"})
    assert screen.run("config", "show", "--origin", "--config", config) == Exit.DONE
    origins = {line.split(" = ")[0]: line.rpartition("# ")[2] for line in screen.shown.splitlines()}
    assert origins["drain_s_max"] == f"{config}:2"
    assert origins["listen"] == "TOQUE_LISTEN"
    assert origins["driver"] == "default"
    assert origins['models."org/chat.v2".slots'] == f"{config}:5"


def test_a_program_gets_values_and_origins(config: str) -> None:
    screen = Screen()
    screen.run("config", "show", "--json", "--config", config)
    assert json.loads(screen.shown)["drain_s_max"] == {"value": 7.0, "origin": f"{config}:2"}
