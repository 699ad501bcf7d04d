"""How the kernel schedules a replica: its discipline, its niceness, its cores, and who goes first when memory is short.

Law: it holds for every thread of the process, and for all that the process starts later. None of it needs a right, since it
only ever takes away. It may wait: not for the event loop's thread. Source: sched(7), proc_pid_autogroup(5), proc_pid_oom_score_adj(5).
"""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from toque.model.isolation_spec import NICE_MAX, IsolationSpec, read_cores

BATCH_MEMORY_SCORE = 500
"""Added to how likely the kernel chooses a batch replica when memory is short: as if it had half of the machine's more."""

_TURN_S = 0.1
_TURNS_MAX = 100
"""The kernel lets users without rights lower one session each 0.1 s, all of them together."""

_DISCIPLINES = {"batch": os.SCHED_BATCH, "idle": os.SCHED_IDLE}
_NO_REAL_TIME = os.sched_param(0)
_one_session = threading.Lock()


def schedule(pid: int, spec: IsolationSpec) -> None:
    """Put a process and its threads where the spec says. Raises `OSError` when the kernel does not take it.

    A process that is gone is none of our business here: its end is reported elsewhere.
    """
    with suppress(ProcessLookupError, FileNotFoundError):
        _schedule_threads(pid, spec)
        if niceness := NICE_MAX if spec.discipline == "idle" else spec.niceness:
            _lower_session(pid, niceness)
        if spec.is_batch:
            Path(f"/proc/{pid}/oom_score_adj").write_text(str(BATCH_MEMORY_SCORE))


def _schedule_threads(pid: int, spec: IsolationSpec) -> None:
    """One thread after the other, until there is none that was not seen: a new one is like the thread that made it."""
    cores = read_cores(spec.cores) if spec.cores else None
    seen: set[int] = set()
    while found := {int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()} - seen:
        for thread in found:
            with suppress(ProcessLookupError):
                _schedule_thread(thread, spec, cores)
        seen |= found


def _schedule_thread(thread: int, spec: IsolationSpec, cores: frozenset[int] | None) -> None:
    if cores is not None:
        os.sched_setaffinity(thread, cores)
    if spec.niceness:
        os.setpriority(os.PRIO_PROCESS, thread, spec.niceness)
    if spec.discipline in _DISCIPLINES:
        os.sched_setscheduler(thread, _DISCIPLINES[spec.discipline], _NO_REAL_TIME)


def _lower_session(pid: int, niceness: int) -> None:
    """Lower the whole session too. A replica is a session of its own, and where the kernel groups processes by sessions
    (sched_autogroup_enabled, the usual default) niceness and discipline only count inside of one.
    """
    path = Path(f"/proc/{pid}/autogroup")
    with _one_session, suppress(FileNotFoundError):
        for _ in range(_TURNS_MAX):
            with suppress(BlockingIOError):
                path.write_text(str(niceness), "ascii")
                return
            time.sleep(_TURN_S)
