"""The comparison of policies works: its quick form runs, its figures make sense, and a page keeps what is around its tables."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).parents[2] / "bench" / "policies" / "run.py"


@pytest.mark.slow
@pytest.mark.alone
def test_the_quick_form_scores_policies_beside_plan_and_bound(tmp_path: Path) -> None:
    report, page = tmp_path / "report.json", tmp_path / "page.md"
    page.write_text("before\n<!-- figures: begin -->\nstale\n<!-- figures: end -->\nafter\n")
    command = [sys.executable, str(COMMAND), "--quick", "--json", str(report), "--page", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [cell] = json.loads(report.read_text("utf-8"))
    assert cell["bound_hours"] <= cell["plan_hours"] <= cell["fixed_hours"]
    assert {score["policy"] for score in cell["scores"]} == {"fixed", "concurrency", "queue_wait"}
    for score in cell["scores"]:
        assert score["charged_hours"] >= cell["bound_hours"]
        assert score["holds"] or score["charged_hours"] >= cell["fixed_hours"]
    text = page.read_text("utf-8")
    assert text.startswith("before\n<!-- figures: begin -->\n### All 1 cells")
    assert text.endswith("<!-- figures: end -->\nafter\n")
    assert "stale" not in text
