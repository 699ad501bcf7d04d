"""The simulator's benchmark works: its quick form runs, and both sides find the same waits. No time is asserted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).parents[2] / "bench" / "simulator" / "run.py"


@pytest.mark.slow
@pytest.mark.alone
def test_the_quick_form_simulates_and_agrees_with_the_other_side(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, str(COMMAND), "--quick", "--json", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = {row["contender"]: row for row in json.loads(report.read_text("utf-8"))["rows"]}
    assert {"toque, fixed", "toque, concurrency"} <= set(rows)
    assert all(row["per_s"] > 0 for row in rows.values())
    other = rows.get("SimPy, fixed", rows["toque, fixed"])
    assert rows["toque, fixed"]["mean_wait_s"] == pytest.approx(other["mean_wait_s"], rel=1e-6)
