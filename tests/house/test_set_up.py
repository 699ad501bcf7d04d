"""Set-up in one line: what the README promises is what CI runs, and it works from a bare clone on a bare machine."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.house.source import ROOT

BARE_PATH = "/usr/local/bin:/usr/bin:/bin"


def _readme_commands() -> list[str]:
    readme = (ROOT / "README.md").read_text("utf-8")
    return re.findall(r"^(?:    |\$ )?(\./dev [^\n#&]*?) *(?:#.*)?$", readme, re.MULTILINE)


def test_the_readme_serves_and_tests_with_one_command_each() -> None:
    assert {"./dev up", "./dev test"} <= set(_readme_commands())


def test_ci_runs_the_test_command_of_the_readme_before_anything_else() -> None:
    steps = re.findall(r'^check "[^"]+" (.+)$', (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    assert steps[0] == "./dev test"
    assert steps[0] in _readme_commands()


def test_the_build_is_pinned_like_everything_else() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    pinned = re.search(r"^(hatchling==[0-9.]+)", (ROOT / "requirements" / "serve.txt").read_text("utf-8"), re.MULTILINE)
    assert pinned
    assert f'requires = ["{pinned[1]}"]' in project


def _bare(command: list[str], checkout: Path, python: str) -> subprocess.CompletedProcess[str]:
    """Run in a checkout as on a machine that has nothing of ours: no variables, an empty home, only Python, pip and git."""
    home = checkout.parent / "home"
    home.mkdir(exist_ok=True)
    bare = {"PATH": BARE_PATH, "HOME": str(home), "PYTHON": python}
    return subprocess.run(command, cwd=checkout, env=bare, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_bare_clone_sets_itself_up_and_knows_its_commands(tmp_path: Path) -> None:
    checkout = tmp_path / "toque"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(checkout)], check=True)
    python = str(Path(sys.base_prefix) / "bin" / "python3")

    first = _bare(["./dev", "up", "--help"], checkout, python)
    again = _bare(["./dev", "up", "--help"], checkout, python)

    assert first.returncode == 0, first.stderr
    assert "setting up" in first.stderr
    assert again.returncode == 0
    assert "setting up" not in again.stderr


def test_an_old_python_is_told_what_is_missing(tmp_path: Path) -> None:
    checkout = tmp_path / "toque"
    (checkout / "requirements").mkdir(parents=True)
    for name in ("dev", "pyproject.toml", "requirements/serve.txt"):
        shutil.copy(ROOT / name, checkout / name)
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)

    answer = _bare(["./dev", "up"], checkout, str(old))

    assert answer.returncode == 2
    assert "Python 3.11" in answer.stderr
