"""S20: what is released is the tree and nothing else, and importing it neither runs nor calls anything."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.house.source import ROOT, tracked

pytestmark = pytest.mark.slow

QUIET_IMPORT = """
import sys
sys.path.insert(0, sys.argv[1])
def look(event, _):
    if event.partition(".")[0] in {"socket", "subprocess", "ssl", "urllib", "ftplib", "smtplib"} and event != "socket.gethostname":
        raise SystemExit(f"an import does {event}")
    if event in {"os.system", "os.fork", "os.exec", "os.posix_spawn", "os.remove", "os.mkdir"}:
        raise SystemExit(f"an import does {event}")
import socket, ssl, subprocess, asyncio
sys.addaudithook(look)
import toque, toque.cli, toque.app, toque.config.read, toque.gateway.server, toque.sim.engine
assert toque.__file__.startswith(sys.argv[1]), toque.__file__
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return folder


def names_in_git(below: str = "") -> set[str]:
    names = {path.relative_to(ROOT).as_posix() for path in tracked()}
    return {name for name in names if name.startswith(below)}


def test_s20_the_wheel_holds_the_package_and_its_description(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    described = {name for name in names if name.partition("/")[0].endswith(".dist-info")}
    assert {name.partition("/")[2] for name in described} <= {
        "METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE",
    }  # fmt: skip
    assert names - described == {name.removeprefix("src/") for name in names_in_git("src/")}
    assert not [name for name in names if name.endswith(".pth")]


def test_s20_the_source_archive_holds_the_tree(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {member.name.partition("/")[2] for member in opened if member.isfile()}
    assert names - {"PKG-INFO"} == names_in_git()


def test_s20_importing_it_calls_nobody_and_starts_nothing(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    told = subprocess.run(
        [sys.executable, "-I", "-c", QUIET_IMPORT, str(wheel)], capture_output=True, text=True, timeout=120, check=False
    )
    assert (told.returncode, told.stderr) == (0, "")
