"""Which kinds of isolation hold on this machine, each proven by trying it on a process of ours.

Law: the trial uses the very code that replicas are caged with, and believes only what the kernel says afterwards. Nothing is left.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from toque.drivers.cage import HOW_TO, Cage, Cages
from toque.drivers.hierarchy import PROC
from toque.drivers.leftovers import Leftovers
from toque.model.isolation_spec import IsolationSpec
from toque.model.resources import mebibytes

BOUND_S = 5.0
"""A trial that has not ended by then has failed."""

_MEMORY_BYTES_MAX = 32 * 2**20
_CPU_MAX = 0.1
_TRIED = "it had no effect when it was tried"
_WAIT = "import sys; sys.stdin.read()"
_BURN = f"{_WAIT}\nimport time\nend = time.monotonic() + 0.15\nwhile time.monotonic() < end: pass"
_EAT = f"{_WAIT}\nx = bytearray({2 * _MEMORY_BYTES_MAX})\nx[::4096] = b'x' * len(x[::4096])"
"""What the tried process does once it is in its cage: nothing, use a core for 0.15 s, take twice the memory."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of trying some settings: `proof` is what was seen where they hold, else `reason` and `fix` are told."""

    settings: tuple[str, ...]
    proof: str
    reason: str = ""
    fix: str = ""

    @property
    def holds(self) -> bool:
        """Whether they hold here."""
        return not self.reason


def try_isolation(state_dir: Path, proc: Path = PROC) -> Iterator[Trial]:
    """Try one kind after the other, in a third of a second. What a killed predecessor left is ended first."""
    leftovers = Leftovers(state_dir)
    leftovers.reap()
    cages = Cages(leftovers, proc)
    core = min(os.sched_getaffinity(0))
    batch, pinned = IsolationSpec("batch"), IsolationSpec(cores=str(core))
    weighed, capped = IsolationSpec(cpu_weight=10), IsolationSpec(cpu_max=_CPU_MAX)
    limited = IsolationSpec(memory_bytes_max=_MEMORY_BYTES_MAX)
    try:
        yield _try(("scheduling", "nice"), batch, _WAIT, cages, _is_idle)
        yield _try(("cores",), pinned, _WAIT, cages, lambda tried: _is_pinned(tried, core))
        yield _try(("cpu_weight",), weighed, _BURN, cages, _is_inside)
        yield _try(("cpu_max",), capped, _BURN, cages, _was_throttled)
        yield _try(("memory_bytes_max",), limited, _EAT, cages, _was_killed)
    finally:
        cages.close()
        leftovers.close()


class _Tried:
    """A process in a cage."""

    def __init__(self, process: "subprocess.Popen[bytes]", cage: Cage) -> None:
        self.process = process
        self.cage = cage

    def let_go(self) -> int:
        """Let it do what it is to do, and return its status."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            return self.process.wait(BOUND_S)
        except subprocess.TimeoutExpired:
            return 0


def _try(
    settings: tuple[str, ...], spec: IsolationSpec, code: str, cages: Cages, prove: Callable[[_Tried], str]
) -> Trial:
    cage = Cage(spec, cages)
    try:
        objections = cage.open()
        with _running(code) as process:
            objections += cage.enter(process.pid)
            if objections:
                return Trial(settings, "", objections[0].reason, objections[0].fix)
            proof = prove(_Tried(process, cage))
            return Trial(settings, proof) if proof else Trial(settings, "", _TRIED, HOW_TO)
    finally:
        cage.close()


@contextmanager
def _running(code: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run Python in a session of its own, as a replica is; it is ended with the block."""
    argv = (sys.executable, "-I", "-S", "-c", code)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True) as process:  # noqa: S603
        try:
            yield process
        finally:
            process.kill()


# ---- what counts as proof: a sentence, empty where there is none


def _is_idle(tried: _Tried) -> str:
    pid = tried.process.pid
    is_idle = os.sched_getscheduler(pid) == os.SCHED_IDLE and os.getpriority(os.PRIO_PROCESS, pid) == 19
    session = Path(f"/proc/{pid}/autogroup")
    is_low = not session.exists() or session.read_text("ascii").split()[-1] == "19"
    return "a process ran at SCHED_IDLE, nice 19" if is_idle and is_low else ""


def _is_pinned(tried: _Tried, core: int) -> str:
    return f"a process could run on core {core} only" if os.sched_getaffinity(tried.process.pid) == {core} else ""


def _is_inside(tried: _Tried) -> str:
    return "a process ran in a control group of weight 10" if tried.cage.has(tried.process.pid) else ""


def _was_throttled(tried: _Tried) -> str:
    tried.let_go()
    times = tried.cage.counter("cpu.stat", "nr_throttled")
    return f"a busy process was stopped {times} times at {_CPU_MAX:g} cores" if times else ""


def _was_killed(tried: _Tried) -> str:
    tried.let_go()
    return f"a process was killed at {mebibytes(_MEMORY_BYTES_MAX)}" if tried.cage.memory_kills() else ""
