"""The recovery benchmark works: its quick form kills replicas, and nothing that had not begun is lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).parents[2] / "bench" / "recovery" / "run.py"


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(180)
def test_the_quick_form_kills_replicas_and_loses_nothing_that_had_not_begun(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, str(COMMAND), "--quick", "--only", "restarts", "--only", "kills", "--json", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| SIGKILL to the next good answer: fake, 1 replica | |" in done.stdout
    one, two, loaded = json.loads(report.read_text("utf-8"))
    assert 0 < two["median_s"] < one["median_s"], "a neighbour answers before the next replica is up"
    assert loaded["kills"] == 2
    assert loaded["lost_before_their_first_token"] == 0
    assert loaded["good"] + loaded["refused"] + loaded["cut"] + loaded["lost"] == loaded["requests"]
