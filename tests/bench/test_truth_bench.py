"""The comparison of live and simulated works: its quick form runs, and both sides tell of the same requests."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).parents[2] / "bench" / "truth" / "run.py"


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(180)
def test_the_quick_form_measures_both_sides(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, str(COMMAND), "--quick", "--json", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| concurrency | live | simulated | simulated, late |" in done.stdout
    [row] = json.loads(report.read_text("utf-8"))
    assert row["noise"]["requests"] == 149
    for side in (row["live"], row["simulated"], row["simulated_late"]):
        assert side["replica_hours"] > 0
        assert 0 < side["attainment"] <= 1
        assert side["starts"] >= 2
