"""The cluster's benchmark works: its quick form runs every part, and what must not grow does not. No time is asserted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).parents[2] / "bench" / "cluster" / "run.py"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_quick_form_races_looks_at_rest_and_steps(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, str(COMMAND), "--quick", "--folder", str(tmp_path), "--json", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(report.read_text("utf-8"))
    heats = {row["contender"]: row for row in told["race"]}
    assert {"toque, queue_wait", "HPA rule, scraped", "KEDA rule, scraped"} <= set(heats)
    assert all(row["late_percent"][0] < 100 for row in heats.values())
    assert {row["rest_calls_per_min"] for row in told["rest"]} == {0}, "pools that nobody asks cost no call"
    assert {row["steps_at_rest_per_min"] for row in told["step"]} == {0}
