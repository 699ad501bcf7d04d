"""The gateway's benchmark works: its quick form runs, without peers, and its figures make sense. No time is asserted."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).parents[2] / "bench" / "gateway" / "run.py"
LACKS = [name for name in ("cc", "taskset") if shutil.which(name) is None]


@pytest.mark.slow
@pytest.mark.skipif(bool(LACKS) or len(os.sched_getaffinity(0)) < 2, reason="needs cc, taskset and two cores")
def test_the_quick_form_measures_toque_without_an_error(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, str(COMMAND), "--quick", "--peers", "", "--rounds", "1", "--json", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| toque |" in done.stdout
    measured = [one for one in json.loads(report.read_text())["measured"] if one["contender"] == "toque"]
    assert {one["case"]["name"] for one in measured} == {"plain, 1 connection", "plain, 32", "streams, 32"}
    assert all(one["per_s"] > 0 and one["figures"]["errors"] == 0 for one in measured)
    assert all(one["case"]["streams"] == (one["figures"]["chunks"] > 0) for one in measured)
