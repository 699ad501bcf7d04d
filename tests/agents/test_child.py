"""A child of ours ends with its parent, hides its secret, and tells how far it is: with real processes."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

JOIN = "from toque.agents.child import join_parent\npipe, secret = join_parent()\n"
SLEEP = "import signal\nsignal.pause()\n"
PARENT = """
import os, subprocess, sys
told, tells = os.pipe()
child = subprocess.Popen(
    [sys.executable, "-c", sys.argv[1]],
    env=dict(os.environ, TOQUE_STATUS_FD=str(tells), TOQUE_SECRET="s", TOQUE_PARENT_PID=str(os.getpid())),
    pass_fds=(tells,), start_new_session=True,
)
os.read(told, 100)
print(child.pid, flush=True)
sys.stdin.read()
"""
BOUND_MS = 10_000


class Spawned:
    """A child with the reading end of its status pipe."""

    def __init__(self, code: str, parent_pid: int | None = None) -> None:
        told, tells = os.pipe()
        environment = dict(
            os.environ,
            TOQUE_STATUS_FD=str(tells),
            TOQUE_SECRET="canary-secret",
            TOQUE_PARENT_PID=str(parent_pid or os.getpid()),
        )
        argv = [sys.executable, "-c", JOIN + code]
        self.process = subprocess.Popen(
            argv, env=environment, pass_fds=(tells,), start_new_session=True, stdout=subprocess.PIPE, text=True
        )
        os.close(tells)
        self.status = os.fdopen(told)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.status.close()


@pytest.fixture
def spawned() -> Iterator[list[Spawned]]:
    children: list[Spawned] = []
    yield children
    for child in children:
        child.close()


def has_ended(pid: int) -> bool:
    """Wait for the end of any process, within a bound."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    try:
        return bool(poll.poll(BOUND_MS))
    finally:
        os.close(fd)


def test_a_child_tells_its_phases_in_order_as_json_lines(spawned: list[Spawned]) -> None:
    child = Spawned("pipe.loading(0.43)\npipe.loaded()\npipe.ready(12345)\npipe.failed('no such file')\n")
    spawned.append(child)
    assert [json.loads(line) for line in child.status] == [
        {"phase": "spawned"},
        {"phase": "loading", "progress": 0.43},
        {"phase": "loaded"},
        {"phase": "ready", "port": 12345},
        {"phase": "failed", "reason": "no such file"},
    ]


def test_a_child_keeps_its_secret_out_of_what_its_own_children_see(spawned: list[Spawned]) -> None:
    child = Spawned("import os\nprint(secret, secret.reveal(), [name for name in os.environ if 'TOQUE' in name])")
    spawned.append(child)
    assert child.process.communicate()[0] == "*** canary-secret []\n"


def test_a_child_leaves_no_core_file(spawned: list[Spawned]) -> None:
    child = Spawned("import resource\nprint(resource.getrlimit(resource.RLIMIT_CORE))")
    spawned.append(child)
    assert child.process.communicate()[0] == "(0, 0)\n"


def test_r12_a_child_dies_with_a_parent_that_was_killed() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, JOIN + SLEEP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child_pid = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    assert has_ended(child_pid)


def test_a_child_born_after_its_parent_ended_ends_too(spawned: list[Spawned]) -> None:
    child = Spawned(SLEEP, parent_pid=1)
    spawned.append(child)
    assert child.process.wait(BOUND_MS / 1000) == 1
    assert child.status.read() == ""


def test_a_child_nobody_listens_to_ends_with_its_own_children(spawned: list[Spawned], tmp_path: Path) -> None:
    note = tmp_path / "grandchild"
    start = f"import subprocess\nother = subprocess.Popen(['sleep', '60'])\nopen({str(note)!r}, 'w').write(str(other.pid))\n"
    child = Spawned(start + "pipe.loaded()\n" + SLEEP)
    spawned.append(child)
    assert [json.loads(child.status.readline())["phase"] for _ in range(2)] == ["spawned", "loaded"]
    child.status.close()
    assert child.process.wait(BOUND_MS / 1000) == -signal.SIGKILL
    assert has_ended(int(note.read_text()))
