"""`toque plan`: settings chosen on one part of a trace and judged on another, and the courage to say: do not autoscale."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.cli.screen import Screen
from toque.cli.exits import Exit


@pytest.fixture
def profile(tmp_path: Path) -> str:
    path = tmp_path / "profile.toml"
    path.write_text('model = "slots"\nslots = 1\nbase_s = 1.5\n')
    return str(path)


@pytest.mark.slow
def test_where_load_swings_slowly_scaling_is_recommended_with_settings_to_paste(profile: str, screen: Screen) -> None:
    trace = "square:low=0.1,high=3,period=1200,duration=2400"
    assert (
        screen.run("plan", trace, "--profile", profile, "--cold-start", "1", "--slo", "queue_wait<=5s@95%") == Exit.DONE
    )
    assert "Autoscale with" in screen.shown
    settings = tomllib.loads(screen.shown.partition("In toque.toml:\n")[2])
    chat = settings["models"]["chat"]
    assert chat["replicas"]["minimum_warm"] < chat["replicas"]["maximum"]
    assert chat["scaling"]["policy"] != "fixed"


def test_where_a_cold_start_outlasts_every_change_the_advice_is_not_to_autoscale(profile: str, screen: Screen) -> None:
    arguments = ("plan", "poisson:rate=3,duration=200", "--profile", profile, "--cold-start", "120", "--json")
    assert screen.run(*arguments) == Exit.DONE
    content = json.loads(screen.shown)
    assert content["autoscale"] is False
    assert content["recommendation"]["policy"] == "fixed"
    assert content["recommendation"]["held_out"]["slo_met"]


def test_fixed_advice_reads_as_a_sentence(profile: str, screen: Screen) -> None:
    arguments = ("plan", "poisson:rate=3,duration=200", "--profile", profile, "--cold-start", "120")
    assert screen.run(*arguments) == Exit.DONE
    assert "Do not autoscale: N = " in screen.shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["poisson:rate=1,duration=60"], "fewer than 100 requests"),
        (["poisson:rate=5", "--held-out", "1"], "--held-out"),
        (["poisson:rate=5", "--slo", "good"], "no objective"),
    ],
)
def test_what_cannot_be_planned_is_told_with_a_way_out(arguments: list[str], told: str, screen: Screen) -> None:
    assert screen.run("plan", *arguments) == Exit.USAGE
    assert told in screen.said
    assert "fix:" in screen.said
