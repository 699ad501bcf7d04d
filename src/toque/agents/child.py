"""What every child process of ours does at once: tie its life to its parent's, take its secret, open its status pipe.

Law: a child never outlives its parent, tells its port itself (it picked a free one), and keeps its secret out of argv,
and out of the environment that its own children inherit. It needs nothing but the standard library: imported first.
A replica that stands alone (`toque replica`) has no parent: it listens where it was told, and its phases go to standard output.
"""

import ctypes
import json
import os
import resource
import select
import signal
import sys
import threading

from toque.model.agent_spec import Secret
from toque.ports import CHILD_LISTEN, CHILD_PARENT_PID, CHILD_SECRET, CHILD_STATUS_FD

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_REASON_CHARACTERS_MAX = 500  # keeps a line below PIPE_BUF, whatever its characters


class StatusPipe:
    """Where a child tells its parent how far it is, one JSON object a line. Any thread may call."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def spawned(self) -> None:
        """The process runs; its heavy imports and its model come next."""
        self._tell({"phase": "spawned"})

    def loading(self, progress_ratio: float) -> None:
        """So much of the model is loaded (0 to 1)."""
        self._tell({"phase": "loading", "progress": round(progress_ratio, 4)})

    def loaded(self) -> None:
        """The model is in memory; warming up comes next."""
        self._tell({"phase": "loaded"})

    def ready(self, port: int) -> None:
        """It answers on this port: of 127.0.0.1, where it has a parent."""
        self._tell({"phase": "ready", "port": port})

    def failed(self, reason: str) -> None:
        """This model can never be served from here; `reason` is a sentence naming path and cause. End after it."""
        self._tell({"phase": "failed", "reason": reason[:_REASON_CHARACTERS_MAX]})

    def _tell(self, status: dict[str, str | float]) -> None:
        # One write shorter than PIPE_BUF is atomic, so threads need no lock.
        os.write(self._fd, json.dumps(status).encode() + b"\n")


def child_environment(secret: Secret) -> dict[str, str]:
    """Return what a `Launch` adds to the environment of a child that calls `join_parent`."""
    return {CHILD_SECRET: secret.reveal()}


def join_parent() -> tuple[StatusPipe, Secret]:
    """Become a proper child: call this before anything else, in the main thread. Tells `spawned`.

    Ends the process (status 1) when the parent is gone already. Raises `KeyError` when nobody of ours started it.
    """
    secret = Secret(os.environ.pop(CHILD_SECRET))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold prompts and the secret
    pipe = StatusPipe(sys.stdout.fileno()) if CHILD_LISTEN in os.environ else _tied_to_parent()
    pipe.spawned()
    return pipe, secret


def listen_address() -> tuple[str, int]:
    """Where to listen: a free port of 127.0.0.1 (port 0) for a child, what it was told for a replica that stands alone."""
    host, _, port = os.environ.get(CHILD_LISTEN, "127.0.0.1:0").rpartition(":")
    return host, int(port)


def _tied_to_parent() -> StatusPipe:
    fd = int(os.environ.pop(CHILD_STATUS_FD))
    _die_with(int(os.environ.pop(CHILD_PARENT_PID)))
    os.set_inheritable(fd, False)  # noqa: FBT003 - else children of ours would keep the pipe open
    threading.Thread(target=_end_when_unread, args=(fd,), name="parent-watch", daemon=True).start()
    return StatusPipe(fd)


def _die_with(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends, however hung it is by then."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # it ended before the kernel knew
        sys.exit(1)


def _end_when_unread(fd: int) -> None:
    """Wait until nobody reads the status pipe any more; then end the whole process group, children of ours included."""
    poll = select.poll()
    poll.register(fd, 0)  # errors are always reported: POLLERR is the reader's end
    poll.poll()
    os.killpg(os.getpid(), signal.SIGKILL)  # fails, harming nobody, where this process leads no group
