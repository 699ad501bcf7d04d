"""The comparison by the conformance kit works: its table of one subject, in a few cases."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).parents[2] / "bench" / "gateway" / "conformance.py"


@pytest.mark.slow
@pytest.mark.alone
def test_the_fake_engine_alone_is_compared_in_a_table(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    argv = [
        sys.executable,
        str(COMMAND),
        "--subjects",
        "engine",
        "--only",
        "A-stream",
        "H12-get",
        "--json",
        str(report),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| **all** | 3 of 3 |" in done.stdout
    assert {case["verdict"] for case in json.loads(report.read_text())["engine"]} == {"pass"}
