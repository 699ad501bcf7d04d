"""Room below our own group in version 2: on a tree that is none, and on the real one where this machine has one to spare."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.drivers.cgroups import FakeTree
from toque.drivers.cage import Cage, Cages
from toque.drivers.delegation import Delegation
from toque.drivers.leftovers import Leftovers
from toque.model.isolation_spec import IsolationSpec

SPARE = "hugetlb"
"""A controller that nobody here uses, so that it may be handed down for a test."""
ROOT = next(
    (Path(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup2 " in line),
    None,
)
ASIDE = """
import sys
from pathlib import Path
from toque.drivers.delegation import Delegation
group = Path(sys.argv[1])
(group / "cgroup.procs").write_text("0")
delegation = Delegation(group, group / "leaf")
try:
    delegation.hand_down(sys.argv[2])
except OSError as error:
    print(error.errno, Path("/proc/self/cgroup").read_text().splitlines()[-1], flush=True)
    sys.exit()
print(Path("/proc/self/cgroup").read_text().splitlines()[-1], (group / "cgroup.subtree_control").read_text().strip(), flush=True)
(group / "replica").mkdir()
print((group / "replica" / "cgroup.controllers").read_text().strip(), flush=True)
(group / "replica").rmdir()
delegation.close()
print(Path("/proc/self/cgroup").read_text().splitlines()[-1], (group / "leaf").exists(), flush=True)
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A group of version 2 below the root's, with the spare controller; both are as before afterwards."""
    if ROOT is None or SPARE not in _read(ROOT / "cgroup.controllers") or not os.access(ROOT, os.W_OK):
        pytest.skip(f"no tree of version 2 with {SPARE} can be changed here")
    had = SPARE in _read(ROOT / "cgroup.subtree_control")
    made = ROOT / f"toque-tests-{os.getpid()}"
    try:
        (ROOT / "cgroup.subtree_control").write_text(f"+{SPARE}")
        made.mkdir()
    except OSError:
        pytest.skip("this process may not make groups of version 2")
    yield made
    made.rmdir()
    if not had:
        with suppress(OSError):
            (ROOT / "cgroup.subtree_control").write_text(f"-{SPARE}")


def _read(path: Path) -> list[str]:
    return path.read_text().split()


def step_aside(group: Path) -> list[str]:
    """What a process in that group says when it hands the spare controller down."""
    argv = [sys.executable, "-c", ASIDE, str(group), SPARE]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_process_steps_aside_so_that_its_group_may_hand_down_and_comes_back(group: Path) -> None:
    aside, inside, back = step_aside(group)
    assert aside == f"0::/{group.name}/leaf {SPARE}"
    assert inside == SPARE
    assert back == f"0::/{group.name} False"


def test_a_group_that_others_share_is_left_as_it_was(group: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as other:
        (group / "cgroup.procs").write_text(str(other.pid))
        try:
            assert step_aside(group) == [f"{errno.EBUSY} 0::/{group.name}"]
            assert not (group / "leaf").exists()
        finally:
            other.kill()


def test_what_is_handed_down_already_is_left_alone(tmp_path: Path) -> None:
    tree = FakeTree(tmp_path)
    control = tree.group / "cgroup.subtree_control"
    control.write_text("cpu memory")
    delegation = Delegation(tree.group, tree.group / "leaf")
    delegation.hand_down("cpu")
    delegation.close()
    assert control.read_text() == "cpu memory"


def test_what_was_handed_down_is_taken_back(tmp_path: Path) -> None:
    tree = FakeTree(tmp_path)
    cages = Cages(Leftovers(tmp_path / "state"), tree.proc)
    Cage(IsolationSpec(cpu_weight=5), cages).open()
    assert (tree.group / "cgroup.subtree_control").read_text() == "+cpu"
    cages.close()
    assert (tree.group / "cgroup.subtree_control").read_text() == "-cpu"
