"""`toque calibrate` against real replicas: what the fake agent was told to take is what the profile says."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.cli.screen import Screen
from toque.cli.exits import Exit

SETTINGS = """
records = { state_dir = "state" }

[models.first]
agent = "fake"

[models.chat]
agent = "fake"
slots = 3
options = { ttft_s = 0.1, prefill_s_per_token = 0.002, token_gap_s = 0.02, tokens = 1000, start_s = 0.5 }
replicas = { minimum_warm = 0, maximum = 4 }
"""


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "toque.toml"
    path.write_text(SETTINGS)
    return str(path)


@pytest.mark.slow
def test_the_profile_says_what_the_fake_agent_was_told_to_take(config: str, tmp_path: Path, screen: Screen) -> None:
    output = tmp_path / "profile.toml"
    status = screen.run("calibrate", "chat", "--config", config, "-o", str(output), "--seconds", "10", "--json")
    assert status == Exit.DONE
    told = json.loads(screen.shown)
    written = tomllib.loads(output.read_text("utf-8"))
    assert written == told["profile"]
    assert (written["model"], written["slots"]) == ("slots", 3)
    assert 0.05 < written["base_s"] < 0.5
    assert 0.001 < written["prefill_token_s"] < 0.01
    assert 0.01 < written["decode_token_s"] + 3 * written["decode_token_s_per_busy_slot"] < 0.1
    assert told["cold_start_s"] > 0.5
    assert told["error"]["service"]["median"] < 0.5
    assert told["requests"]["held_out"] >= 2
    assert "measuring chat" in screen.said


@pytest.mark.slow
def test_without_a_file_the_profile_goes_to_standard_output_with_its_errors_as_comments(
    config: str, screen: Screen
) -> None:
    assert screen.run("calibrate", "chat", "--config", config, "--seconds", "5") == Exit.DONE
    assert tomllib.loads(screen.shown)["slots"] == 3
    assert "# error of TTFT: median" in screen.shown


@pytest.mark.slow
def test_a_model_that_always_fails_is_told_with_its_own_words(tmp_path: Path, screen: Screen) -> None:
    config = tmp_path / "toque.toml"
    config.write_text('[models.chat]\nagent = "fake"\noptions = { fail_ratio = 1.0, fail_status = 400 }\n')
    assert screen.run("calibrate", "--config", str(config), "--seconds", "5") == Exit.FAILED
    assert "asked for by fail_ratio" in screen.said


def test_a_model_that_is_not_there_is_told_at_once(config: str, screen: Screen) -> None:
    assert screen.run("calibrate", "chta", "--config", config) == Exit.USAGE
    assert "name one of first, chat" in screen.said


def test_a_place_where_nothing_can_be_written_is_told_before_anything_is_measured(config: str, screen: Screen) -> None:
    assert screen.run("calibrate", "--config", config, "-o", "/nowhere/at/all.toml") == Exit.USAGE
    assert "cannot write /nowhere/at/all.toml" in screen.said
    assert "measuring" not in screen.said


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon", "inf"])
def test_a_time_that_is_none_is_wrong_usage(seconds: str, screen: Screen) -> None:
    with pytest.raises(SystemExit):
        screen.run("calibrate", "--seconds", seconds)
