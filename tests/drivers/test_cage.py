"""Replicas in cages: what the kernel says of their processes, and that nothing is left of the groups."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.drivers.bench import bench, has_ended, model, until
from tests.drivers.cgroups import FakeTree, needs_cpu_groups, needs_memory_groups
from tests.drivers.test_leftovers import pids_printed, run
from toque.drivers.cage import Cage, Cages, Objection
from toque.drivers.cgroup import Cgroup
from toque.drivers.hierarchy import find_place
from toque.drivers.leftovers import Leftovers
from toque.drivers.schedule import schedule
from toque.model.condition import FailureCause
from toque.model.isolation_spec import IsolationSpec
from toque.model.messages import ReplicaFailed, ReplicaReady, ReplicaStopped

MIB = 2**20
KILLED_OWNER = """
import subprocess, sys
from pathlib import Path
from toque.drivers.cage import Cage, Cages
from toque.drivers.leftovers import Leftovers
from toque.model.isolation_spec import IsolationSpec
cage = Cage(IsolationSpec(cpu_weight=10), Cages(Leftovers(Path(sys.argv[1]))))
assert not cage.open()
child = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, start_new_session=True)
assert not cage.enter(child.pid)
print(child.pid, flush=True)
sys.stdin.read()
"""


def threads_of(pid: int) -> list[int]:
    return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]


def memory_score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def strayed() -> subprocess.Popen[bytes]:
    """A process in a session of its own."""
    return subprocess.Popen(["sleep", "600"], start_new_session=True)


def group_of(pid: int, controller: str) -> Path:
    """Where a process is in the tree that has a controller."""
    lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    by_controller = {name: path for _, names, path in lines for name in names.split(",")}
    own = find_place(controller)
    group = by_controller.get(controller, by_controller.get("", ""))
    return own.path / Path(group).name


def groups_made_by(owner: int) -> set[Path]:
    """CPU groups of one process; others make their own beside it."""
    return set(find_place("cpu").path.glob(f"toque-*_{owner}_*"))


# ---- scheduling


async def test_a_batch_replica_gets_only_what_nobody_else_wants(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.driver.start(1, replace(model(), isolation=IsolationSpec("batch")))
        await until(lambda: made.driver.status(1).pid > 0)
        pid = made.driver.status(1).pid
        await until(lambda: memory_score(pid) == 500)
        assert {os.sched_getscheduler(thread) for thread in threads_of(pid)} == {os.SCHED_IDLE}
        assert {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads_of(pid)} == {19}


def test_threads_that_run_already_are_not_forgotten() -> None:
    code = "import threading; t = threading.Thread(target=input); t.start(); print(flush=True)"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, start_new_session=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        schedule(child.pid, IsolationSpec(scheduling="batch"))
        assert [os.sched_getscheduler(thread) for thread in threads_of(child.pid)] == [os.SCHED_BATCH] * 2
        child.kill()


async def test_an_interactive_replica_is_left_as_it_was(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.driver.start(1, model())
        await made.reports.first(ReplicaReady)
        pid = made.driver.status(1).pid
        assert os.sched_getscheduler(pid) == os.SCHED_OTHER
        assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, 0)
        assert os.sched_getaffinity(pid) == os.sched_getaffinity(0)


async def test_a_replica_stays_on_its_cores(tmp_path: Path) -> None:
    core = max(os.sched_getaffinity(0))
    async with bench(tmp_path) as made:
        made.driver.start(1, replace(model(), isolation=IsolationSpec(cores=str(core), scheduling="batch")))
        await made.reports.first(ReplicaReady)
        pid = made.driver.status(1).pid
        assert os.sched_getaffinity(pid) == {core}
        assert os.sched_getscheduler(pid) == os.SCHED_BATCH


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel does not group by sessions")
def test_the_session_of_an_idle_replica_is_lowered_with_it() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as child:
        schedule(child.pid, IsolationSpec(scheduling="idle"))
        assert Path(f"/proc/{child.pid}/autogroup").read_text().split()[-1] == "19"
        child.kill()


def test_a_process_that_is_gone_is_nobody_s_trouble(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    schedule(child.pid, IsolationSpec("batch"))
    assert Cage(IsolationSpec("batch"), Cages(Leftovers(tmp_path))).enter(child.pid) == []


async def test_cores_that_are_not_ours_are_said_once_and_the_replica_runs(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        for replica_id in (1, 2):
            made.driver.start(replica_id, replace(model(), isolation=IsolationSpec(cores="4095")))
            await made.reports.first(ReplicaReady)
            made.driver.stop(replica_id)
            await made.reports.first(ReplicaStopped)
    (notice,) = made.notices
    assert notice.startswith("isolation of chat: cores does not hold here: this process may not use one of these cores")


# ---- groups of this machine


@needs_cpu_groups
async def test_weight_and_quota_are_a_group_s_that_goes_with_its_replica(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.driver.start(1, replace(model(), isolation=IsolationSpec(cpu_weight=50, cpu_max=0.5)))
        await made.reports.first(ReplicaReady)
        group = group_of(made.driver.status(1).pid, "cpu")
        if find_place("cpu").version == 1:
            assert (group / "cpu.shares").read_text().strip() == "512"
            assert (group / "cpu.cfs_quota_us").read_text().strip() == "50000"
        else:
            assert (group / "cpu.weight").read_text().strip() == "50"
            assert (group / "cpu.max").read_text().strip() == "50000 100000"
        made.driver.stop(1)
        await made.reports.first(ReplicaStopped)
        assert not groups_made_by(os.getpid())
        assert made.notices == []


@needs_cpu_groups
async def test_whoever_left_the_process_group_ends_with_the_cage(tmp_path: Path) -> None:
    cage = Cage(IsolationSpec(cpu_weight=10), Cages(Leftovers(tmp_path)))
    async with cage:
        child = strayed()
        await cage.admit(child.pid)
    assert child.wait(5) == -signal.SIGKILL


@needs_memory_groups
async def test_r10_a_replica_killed_at_its_memory_limit_says_so_and_nobody_else_is(tmp_path: Path) -> None:
    async with bench(tmp_path, "hungry") as made:
        made.driver.start(1, replace(model(), isolation=IsolationSpec(memory_bytes_max=96 * MIB)))
        failed = await made.reports.first(ReplicaFailed)
        assert failed == ReplicaFailed(1, FailureCause.OUT_OF_MEMORY, "killed at its memory limit of 96 MiB")
        assert made.notices == []


@needs_memory_groups
async def test_r10_a_kill_by_somebody_else_is_not_blamed_on_the_limit(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.driver.start(1, replace(model(health_interval_s=60), isolation=IsolationSpec(memory_bytes_max=512 * MIB)))
        await made.reports.first(ReplicaReady)
        os.kill(made.driver.status(1).pid, signal.SIGKILL)
        assert (await made.reports.first(ReplicaFailed)).cause is FailureCause.EXITED


@needs_cpu_groups
async def test_r12_the_groups_of_a_killed_toque_are_removed_by_the_next_start(tmp_path: Path) -> None:
    owner = run(KILLED_OWNER, tmp_path)
    (child,) = await asyncio.to_thread(pids_printed, owner)
    assert len(groups_made_by(owner.pid)) == 1
    owner.kill()
    owner.communicate()
    Leftovers(tmp_path).reap()
    assert await has_ended(child)
    assert not groups_made_by(owner.pid)
    assert list((tmp_path / "children").iterdir()) == []


@needs_cpu_groups
def test_r12_a_group_with_another_name_is_never_removed(tmp_path: Path) -> None:
    foreign = find_place("cpu").path / f"somebody-{os.getpid()}"
    foreign.mkdir()
    try:
        owner = tmp_path / "children" / "boot_1_1"
        owner.mkdir(parents=True)
        (owner / "cgroup_x").write_text(str(foreign))
        Leftovers(tmp_path).reap()
        assert foreign.is_dir()
    finally:
        foreign.rmdir()


# ---- where they cannot be had


def test_version_2_is_told_in_its_own_words(tmp_path: Path) -> None:
    tree = FakeTree(tmp_path)
    spec = IsolationSpec("batch", cpu_weight=20, cpu_max=1.5, memory_bytes_max=64 * MIB)
    cage = Cage(spec, Cages(Leftovers(tmp_path / "state"), tree.proc))
    assert cage.open() == []
    (group,) = tree.replicas()
    told = {path.name: path.read_text() for path in group.iterdir()}
    assert told == {"cpu.weight": "20", "cpu.max": "150000 100000", "memory.max": str(64 * MIB)}
    assert (tree.group / "cgroup.subtree_control").read_text() == "+memory", "the last thing asked for"


def test_an_idle_replica_with_a_group_has_an_idle_group(tmp_path: Path) -> None:
    tree = FakeTree(tmp_path)
    Cage(IsolationSpec("batch", cpu_max=1.0), Cages(Leftovers(tmp_path / "state"), tree.proc)).open()
    (group,) = tree.replicas()
    assert (group / "cpu.weight").read_text() == "1"


def test_a_controller_that_is_not_there_is_said_and_the_others_hold(tmp_path: Path) -> None:
    tree = FakeTree(tmp_path, "cpu")
    cage = Cage(IsolationSpec(cpu_weight=20, memory_bytes_max=MIB), Cages(Leftovers(tmp_path / "state"), tree.proc))
    reason = "no control groups with the controller memory are mounted here"
    assert [(one.settings, one.reason) for one in cage.open()] == [(("memory_bytes_max",), reason)]
    assert len(tree.replicas()) == 1


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody without rights")
@needs_cpu_groups
def test_a_user_without_rights_is_told_what_to_do(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from toque.drivers.cage import Cage, Cages
from toque.drivers.leftovers import Leftovers
from toque.model.isolation_spec import IsolationSpec
os.setresuid(65534, 65534, 65534)
print(*Cage(IsolationSpec(cpu_max=1.0), Cages(Leftovers(Path(sys.argv[1])))).open())
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("cpu_max does not hold here: this user may not make control groups; run toque as a")


def test_a_read_only_tree_and_a_shared_group_are_explained() -> None:
    objection = Objection(("cpu_max", "cpu_weight"), "control groups are read-only here", "do so")
    assert str(objection) == "cpu_max and cpu_weight do not hold here: control groups are read-only here; do so"


def test_a_group_that_is_gone_needs_no_end(tmp_path: Path) -> None:
    assert Cgroup(tmp_path / "none").end()
    assert Cgroup(tmp_path / "none").members() == []
    assert Cgroup(tmp_path / "none").memory_kills() == 0
