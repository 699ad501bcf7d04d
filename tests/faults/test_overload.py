"""O02, O03, O15: more work than there is room for, by the quick form of bench/recovery; the long form is in docs/explanation/recovery.md."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

COMMAND = Path(__file__).parents[2] / "bench" / "recovery" / "run.py"


def outcome(part: str, folder: Path) -> Any:
    """The one case of a part."""
    report = folder / "report.json"
    command = [sys.executable, str(COMMAND), "--quick", "--only", part, "--json", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [case] = json.loads(report.read_text("utf-8"))
    return case


def test_o02_at_twice_the_capacity_what_is_admitted_is_served_in_time_and_nothing_piles_up(tmp_path: Path) -> None:
    case = outcome("soak", tmp_path)
    assert case["lost"] == case["cut"] == 0
    assert case["refused"] > 0
    assert case["dispatched"] == case["good"], "no work was done for nobody"
    assert case["p99_s"] < case["wait_s_max"] + 3
    assert case["rss_drift"] < 0.2
    for name in ("tasks", "descriptors"):
        before, after = case[name]
        assert after <= before + 4, "a connection to a replica more or less may be idle; hundreds were open"


def test_o03_clients_that_ask_again_at_once_do_not_multiply_the_work(tmp_path: Path) -> None:
    case = outcome("storm", tmp_path)
    assert case["good"] > 0
    assert case["attempts"] <= 1.2 * case["requests"]
    assert case["attempts_per_admitted"] < 1.35, "of these every third fails at first"


def test_o15_after_five_times_the_capacity_answers_are_soon_as_quick_as_before(tmp_path: Path) -> None:
    case = outcome("metastable", tmp_path)
    assert case["lost"] == 0
    assert case["good"] > 0.7 * case["requests_after"]
    assert case["back_to_normal_s"] <= 30
