"""The frame of the command line: fast, few words, a place and a way out for every error."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.screen import Screen
from toque.cli.exits import MEANINGS, Exit
from toque.cli.parser import VERBS, make_parsers

HELP_MS_MAX = 150
HEAVY = {"asyncio", "pydantic", "rich", "starlette", "msgspec", "uvloop", "http.client", "ssl", "prometheus_client"}


def _python(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=False, timeout=30)


def test_help_imports_nothing_heavy() -> None:
    imported = re.findall(r"\| +(\S+)$", _python("-X", "importtime", "-m", "toque", "--help").stderr, re.MULTILINE)
    assert "toque.cli.parser" in imported
    assert not HEAVY & {*imported, *(name.partition(".")[0] for name in imported)}


def test_help_takes_less_than_150_ms_beyond_the_start_of_python() -> None:
    def total_us() -> int:
        lines = _python("-X", "importtime", "-m", "toque", "--help").stderr.splitlines()
        return sum(
            int(line.split("|")[0].removeprefix("import time:")) for line in lines if "|" in line and "[us]" not in line
        )

    assert min(total_us() for _ in range(3)) < HELP_MS_MAX * 1000


def test_help_shows_every_verb_and_every_exit_status() -> None:
    text = make_parsers(())[0].format_help()
    assert all(f"    {name} " in text for name in VERBS)
    assert all(f"  {code.value} " in text and meaning in text for code, meaning in MEANINGS.items())


def test_each_verb_starts_its_help_with_examples() -> None:
    for name, parser in make_parsers()[1].items():
        text = parser.format_help()
        assert text.index("examples:") < text.index("options:"), name


def test_without_a_verb_the_help_is_printed(screen: Screen) -> None:
    assert screen.run() == Exit.DONE
    assert "toque up" in screen.shown


@pytest.mark.parametrize("argv", [("--version",), ("version",)])
def test_version_is_data(screen: Screen, argv: tuple[str, ...]) -> None:
    assert screen.run(*argv) == Exit.DONE
    assert screen.shown.startswith("toque ")
    assert screen.said == ""


def test_an_unknown_verb_is_wrong_usage() -> None:
    with pytest.raises(SystemExit) as ended:
        Screen().run("serve")
    assert ended.value.code == Exit.USAGE


def test_an_error_of_the_settings_is_told_with_place_and_fix_and_no_traceback(tmp_path: Path) -> None:
    file = tmp_path / "toque.toml"
    file.write_text("\n[models.chat]\nslotz = 2\n")
    screen = Screen()
    assert screen.run("config", "show", "--config", str(file)) == Exit.USAGE
    assert f"{file}:3" in screen.said
    assert "slots" in screen.said
    assert "fix:" in screen.said
    assert "Traceback" not in screen.said
    assert screen.shown == ""


def test_debug_shows_where_an_error_came_from() -> None:
    screen = Screen()
    assert screen.run("key", "create", "not a name", "--debug") == Exit.USAGE
    assert "Traceback" in screen.said


def test_a_bug_of_ours_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toque.cli.version.version", lambda _: 1 / 0)
    screen = Screen()
    assert screen.run("version") == Exit.BUG
    assert "ZeroDivisionError" in screen.said
    assert "--debug" in screen.said
    assert "Traceback" not in screen.said


def test_a_reader_that_went_away_ends_the_command_quietly() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    ended = subprocess.run(
        [sys.executable, "-m", "toque", "version"], stdout=write_end, stderr=subprocess.PIPE, check=False, timeout=30
    )
    os.close(write_end)
    assert (ended.returncode, ended.stderr) == (Exit.PIPE_CLOSED, b"")


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_where_none_is_wanted(environment: dict[str, str]) -> None:
    screen = Screen(environment, is_terminal=True)
    screen.run("key", "create", "not a name")
    assert "\x1b" not in screen.said


def test_colour_only_on_a_terminal() -> None:
    lively, piped = Screen(is_terminal=True), Screen()
    for screen in (lively, piped):
        screen.run("key", "create", "not a name")
    assert "\x1b" in lively.said
    assert "\x1b" not in piped.said
