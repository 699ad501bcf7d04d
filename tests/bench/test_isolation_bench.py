"""The isolation benchmarks work: their quick forms run and tell what they are to tell."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "bench" / "isolation"

pytestmark = [pytest.mark.slow, pytest.mark.alone]


@pytest.mark.timeout(120)
def test_the_quick_form_cages_noise_in_every_way(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, str(FOLDER / "cage.py"), "--quick", "--json", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| how the four are caged | speed kept |" in done.stdout
    rows = {row["cage"]: row for row in json.loads(report.read_text("utf-8"))}
    assert rows["service_class batch (idle, nice 19)"]["does_not_hold"] == []
    assert all(row["kept"] > 0 for row in rows.values())


@pytest.mark.timeout(240)
def test_the_quick_form_talks_beside_a_backlog(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, str(FOLDER / "run.py"), "--quick", "--json", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    fakes, tenants, million = json.loads(report.read_text("utf-8"))
    assert [row["part"] for row in (fakes, tenants, million)] == ["fakes", "tenants", "million"]
    assert not fakes["not_answered"] + tenants["not_answered"] + million["not_answered"]
    assert fakes["batch_items_per_s"] > 0
    assert 0 < tenants["jain"] <= 1
    assert million["items"] == 2_000
