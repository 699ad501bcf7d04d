"""How a command ends, for scripts that look at its exit status.

Law: the help text and the reference page list exactly these.
"""

from enum import IntEnum

from toque.model.errors import ToqueError


class Exit(IntEnum):
    """An exit status; `MEANINGS` says it in words."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    BUG = 70
    INTERRUPTED = 130
    PIPE_CLOSED = 141


MEANINGS = {
    Exit.DONE: "done",
    Exit.FAILED: "the answer is no: a check failed, a replay differs, a request was refused, nothing was found",
    Exit.USAGE: "the command line or the configuration is wrong",
    Exit.NOT_RUNNING: "no toque answers at that address",
    Exit.BUG: "an error of toque's own (--debug shows where)",
    Exit.INTERRUPTED: "interrupted with Ctrl-C",
    Exit.PIPE_CLOSED: "whoever read the output went away",
}


class NotRunningError(ToqueError):
    """Nothing answers at the address of the service."""
