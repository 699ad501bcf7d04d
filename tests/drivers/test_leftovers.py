"""R12: toque is killed with -9, and its children are gone, by the kernel or by the next start."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.drivers.bench import ROOT, Bench, has_ended
from toque.drivers.leftovers import Leftovers

KILLED_PARENT = """
import asyncio, sys
from pathlib import Path
from tests.drivers.bench import Bench, model
from toque.model.messages import ReplicaReady

async def main():
    bench = Bench(Path(sys.argv[1]), "family")
    bench.driver.start(1, model())
    await bench.reports.first(ReplicaReady)
    status = bench.driver.status(1)
    print(status.pid, status.last_lines[0], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
OWNER = """
import subprocess, sys
from pathlib import Path
from toque.drivers.leftovers import Leftovers
child = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, start_new_session=True)
Leftovers(Path(sys.argv[1])).record(child.pid)
print(child.pid, flush=True)
sys.stdin.read()
"""


def run(code: str, state_dir: Path) -> subprocess.Popen[str]:
    """Run Python code that prints process ids."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    argv = [sys.executable, "-c", code, str(state_dir)]
    return subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def pids_printed(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    return [int(word) for word in process.stdout.readline().split()]


async def test_r12_the_children_of_a_killed_toque_die_and_so_do_theirs(tmp_path: Path) -> None:
    parent = run(KILLED_PARENT, tmp_path)
    child, grandchild = await asyncio.to_thread(pids_printed, parent)
    parent.kill()
    parent.communicate()
    assert await has_ended(child)
    Leftovers(tmp_path).reap()
    assert await has_ended(grandchild)


async def test_r12_the_next_start_ends_what_a_dead_owner_left_behind(tmp_path: Path) -> None:
    owner = run(OWNER, tmp_path)
    (child,) = await asyncio.to_thread(pids_printed, owner)
    owner.kill()
    owner.communicate()
    assert Leftovers(tmp_path).reap() == 1
    assert await has_ended(child)
    assert list((tmp_path / "children").iterdir()) == []


def test_r12_the_children_of_a_living_owner_are_left_alone(tmp_path: Path) -> None:
    owner = run(OWNER, tmp_path)
    (child,) = pids_printed(owner)
    try:
        assert Leftovers(tmp_path).reap() == 0
        os.kill(child, 0)
    finally:
        os.killpg(child, signal.SIGKILL)
        owner.communicate()


def test_r12_a_process_id_that_came_again_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        abandoned = tmp_path / "children" / f"{boot}_{2**22 + 1}_1"
        abandoned.mkdir(parents=True)
        (abandoned / f"{boot}_{stranger.pid}_1").touch()
        assert Leftovers(tmp_path).reap() == 0
        assert stranger.poll() is None
        assert not abandoned.exists()
    finally:
        stranger.kill()
        stranger.wait()


async def test_opening_the_driver_reaps(tmp_path: Path) -> None:
    owner = run(OWNER, tmp_path)
    (child,) = await asyncio.to_thread(pids_printed, owner)
    owner.kill()
    owner.communicate()
    made = Bench(tmp_path)
    assert await has_ended(child)
    await made.driver.close()
