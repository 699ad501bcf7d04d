"""One process of the rig: its output goes to a file, it dies with us however we die, and it is ended by its id."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

END_S = 10.0
TAIL_CHARACTERS = 2000


class Process:
    """Started when made."""

    def __init__(self, argv: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def last_words(self) -> str:
        """The end of its output."""
        return self._log.read_text(errors="replace")[-TAIL_CHARACTERS:]

    def stop(self, *, gently: bool = True) -> None:
        """Ask it to end, unless told otherwise, then make it."""
        if gently:
            self._process.terminate()
        else:
            self._process.kill()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(END_S)
