"""Trials: what is said to hold was seen to, and nothing is left of them."""

from pathlib import Path

from tests.drivers.cgroups import FakeTree, needs_cpu_groups, needs_memory_groups
from toque.drivers.trial import Trial, try_isolation


def tried(tmp_path: Path) -> dict[str, Trial]:
    return {trial.settings[0]: trial for trial in try_isolation(tmp_path)}


def test_what_only_takes_away_holds_on_every_linux(tmp_path: Path) -> None:
    found = tried(tmp_path)
    assert found["scheduling"].proof == "a process ran at SCHED_IDLE, nice 19"
    assert found["cores"].holds
    assert list((tmp_path / "children").iterdir()) == []


@needs_cpu_groups
@needs_memory_groups
def test_limits_are_seen_at_work(tmp_path: Path) -> None:
    found = tried(tmp_path)
    assert found["cpu_weight"].holds
    assert found["cpu_max"].proof.startswith("a busy process was stopped ")
    assert found["memory_bytes_max"].proof == "a process was killed at 32 MiB"


def test_a_tree_that_takes_everything_and_limits_nothing_does_not_hold(tmp_path: Path) -> None:
    tree = FakeTree(tmp_path)
    found = {trial.settings[0]: trial for trial in try_isolation(tmp_path / "state", tree.proc)}
    assert found["scheduling"].holds
    for name in ("cpu_max", "memory_bytes_max"):
        assert found[name].reason == "it had no effect when it was tried"


def test_without_control_groups_the_reason_is_told(tmp_path: Path) -> None:
    tree = FakeTree(tmp_path, controllers="pids")
    found = {trial.settings[0]: trial for trial in try_isolation(tmp_path / "state", tree.proc)}
    assert found["cpu_max"].reason == "no control groups with the controller cpu are mounted here"
    assert found["cpu_max"].fix
