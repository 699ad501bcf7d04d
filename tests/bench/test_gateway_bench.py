"""The gateway's benchmark works: its quick form runs, without peers, and its figures make sense. No time is asserted."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "bench" / "gateway"
COMMAND = FOLDER / "run.py"
LACKS = [name for name in ("cc", "taskset") if shutil.which(name) is None]

needs_a_rig = pytest.mark.skipif(
    bool(LACKS) or len(os.sched_getaffinity(0)) < 2, reason="needs cc, taskset and two cores"
)


@pytest.mark.slow
@pytest.mark.alone
@needs_a_rig
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


@pytest.mark.slow
@pytest.mark.alone
def test_the_cost_without_sockets_is_told_a_request_and_a_chunk(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, str(FOLDER / "inside.py"), "--quick", "--json", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())
    assert {"plain request", "plain request, a new head", "request of 64 kB", "a chunk, 1 a read"} <= set(found)
    assert all(us > 0 for us in found.values())


@pytest.mark.slow
@pytest.mark.alone
@needs_a_rig
def test_idle_connections_and_streams_are_held_without_an_error(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, str(FOLDER / "held.py"), "--idle", "20", "--streams", "20", "--seconds", "1"]
    done = subprocess.run([*command, "--json", str(report)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())
    assert (found["idle connections"], found["streams"], found["errors"]) == (20, 20, 0)
    assert found["chunks a second"] > 0
