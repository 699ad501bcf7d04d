"""The watch over this process: measures its pressure four times a second, with the lateness of its own timer as the loop's.

Law: one timer, set again after each measurement; what is measured is told, and decided elsewhere.
"""

import asyncio
from collections.abc import Callable

from toque.model.messages import PressureMeasured
from toque.ports import PressureSensor

INTERVAL_S = 0.25
"""Short enough to be back within a second of relief; a measurement takes about 60 us, so this costs 0.02 %."""


class PressureWatch:
    """Opened on a running loop; `tell` takes every sample."""

    def __init__(self, sensor: PressureSensor, tell: Callable[[PressureMeasured], None]) -> None:
        self._sensor = sensor
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def open(self) -> None:
        """Begin."""
        self._due = self._loop.time() + INTERVAL_S
        self._timer = self._loop.call_at(self._due, self._beat)

    async def close(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        lag_s = max(0.0, self._loop.time() - self._due)
        memory_ratio, open_files_ratio = self._sensor.measure()
        self.open()
        self._tell(PressureMeasured(memory_ratio, lag_s, open_files_ratio))
