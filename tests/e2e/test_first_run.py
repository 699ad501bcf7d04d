"""A stranger's first minutes: a bare clone, nothing set up, an empty home, one command; and a file of one's own."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.service import Service, launched, started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
SET_UP_S = 600.0
"""Fetching some 60 MB of packages and 100 MB of model over a line that is not ours."""
PORTS = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--json"]
NETWORK = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT")
"""Settings of the way out to the packages; a stranger has these too, if any."""


def bare_environment(home: Path) -> Mapping[str, str]:
    """What a login shell of a new user has, and the way to the packages."""
    way_out = {name: text for name, text in os.environ.items() if name.upper().startswith(NETWORK)}
    return {**way_out, "PATH": os.environ["PATH"], "HOME": str(home)}


def test_one_command_in_a_bare_clone_serves_a_model(tmp_path: Path) -> None:
    clone, home = tmp_path / "clone", tmp_path / "home"
    home.mkdir()
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True, timeout=60)
    with launched(["./dev", "up", *PORTS], clone, bare_environment(home)) as service:
        service.listening(SET_UP_S)
        service.announces("ModelReady", SET_UP_S)
        assert answers(service)
        assert service.stop() == 0
    assert (home / ".cache" / "toque" / "models").is_dir()
    unclean = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    assert unclean.stdout == ""


def test_a_file_of_ones_own_is_served_under_the_name_one_gives(tmp_path: Path, embedded_model: Path) -> None:
    shutil.copy(embedded_model, tmp_path / "mine.gguf")
    with started(["up", "./mine.gguf", "--model-name", "mine", *PORTS], tmp_path) as service:
        service.listening()
        service.announces("ModelReady")
        assert answers(service, model="mine")


def test_a_file_that_is_no_model_is_told_before_anything_is_served(tmp_path: Path) -> None:
    (tmp_path / "mine.gguf").write_bytes(b"GGUF but no more")
    for name in ("mine.gguf", "none.gguf"):
        with started(["up", f"./{name}", *PORTS], tmp_path) as service:
            status = service.process.wait(30)
        told = "".join(service.errors)
        assert status != 0
        assert name in told
        assert "Traceback" not in told


def answers(service: Service, model: str = "chat") -> bool:
    """Whether a question gets words."""
    status, _, body = service.ask(model=model, max_tokens=10)
    return status == 200 and bool(body["choices"][0]["message"]["content"].strip())
