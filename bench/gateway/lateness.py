"""How late the loop of the process under test is: a timer each 5 ms, inside of it, that notes when it came.

Switched on by BENCH_LATENESS, the file that the lateness since the last SIGUSR1 is written to at the next one.
"""

import asyncio
import json
import os
import signal
from pathlib import Path
from statistics import quantiles

FILE = "BENCH_LATENESS"
EACH_S = 0.005


class Lateness:
    """Of the running loop, from now on."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._loop = asyncio.get_running_loop()
        self._late_s: list[float] = []
        self._loop.add_signal_handler(signal.SIGUSR1, self._tell)
        self._wait()

    def _wait(self) -> None:
        self._loop.call_later(EACH_S, self._note, self._loop.time() + EACH_S)

    def _note(self, due_at: float) -> None:
        self._late_s.append(self._loop.time() - due_at)
        self._wait()

    def _tell(self) -> None:
        told, self._late_s = self._late_s, []
        if len(told) < 2:
            return
        percent = quantiles(told, n=100, method="inclusive")
        found = {
            "timers": len(told),
            "p50_us": percent[49] * 1e6,
            "p99_us": percent[98] * 1e6,
            "most_us": max(told) * 1e6,
        }
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(found))
        part.replace(self._file)


def watch() -> None:
    """Begin, where it is asked for."""
    if FILE in os.environ:
        Lateness(Path(os.environ[FILE]))
