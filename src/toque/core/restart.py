"""When a pool may start its next replica after replicas died by themselves.

Law: the wait doubles with each failure in a row up to a bound; many early deaths in a short time are a crash loop, in which
callers are refused at once and one start is tried per longest wait. What the kernel kills for want of memory is started into
the same memory plan three times more, and then only once its settings have changed.
"""

from collections import deque
from math import inf

from toque.core.replica import Replica
from toque.model.condition import HOPELESS, NO_ROOM, FailureCause
from toque.model.spec import RestartSpec

MEMORY_RESTARTS_MAX = 3
"""Restarts after a kill for want of memory: each may take others on the machine along."""
MEMORY_FORGET_S = 3600.0
"""A replica that lived for so long was not too large for its plan: something else took the memory."""


class Restart:
    """Back-off and crash-loop memory of one pool."""

    __slots__ = ("_early_deaths", "_in_a_row", "_memory_kills", "_spec", "is_crash_loop", "not_before", "reason")

    def __init__(self, spec: RestartSpec) -> None:
        self._spec = spec
        self._early_deaths: deque[float] = deque(maxlen=spec.crash_loop_failures)
        self._in_a_row = 0
        self._memory_kills = 0
        self.not_before = -inf
        self.is_crash_loop = False
        self.reason = ""

    def revise(self, spec: RestartSpec) -> None:
        """Go by other numbers; what is remembered stays."""
        self._spec = spec
        self._early_deaths = deque(self._early_deaths, maxlen=spec.crash_loop_failures)

    def renew(self) -> None:
        """Forget the failures: what starts next is something else."""
        self._early_deaths.clear()
        self._in_a_row = 0
        self._memory_kills = 0
        self.not_before = -inf
        self.ready()

    def failed(self, replica: Replica, cause: FailureCause, reason: str, now: float) -> None:
        """Learn of a death. A replica that had served for a while starts the count anew; those that die together count once.

        One that was taken away died of nothing that another start would meet: no wait. Want of room is no early death.
        """
        if cause is FailureCause.REMOVED:
            return
        lived_s = now - replica.started_at
        was_early = lived_s < self._spec.early_death_s and cause not in NO_ROOM
        served = replica.ready_at is not None and not was_early
        self._in_a_row = 1 if served else self._in_a_row + 1
        self.reason = reason
        if was_early:
            self._early_deaths.append(now)
        if cause in HOPELESS or self._deaths_fill_window(now):
            self.is_crash_loop = True
        if cause is FailureCause.OUT_OF_MEMORY and now >= self.not_before:
            self._memory_kills = 1 if lived_s > MEMORY_FORGET_S else self._memory_kills + 1
        self.not_before = now + self._wait_s()
        if self.is_given_up:
            self.is_crash_loop = True
            self.not_before = inf
            self.reason = (
                f"{reason}, for the {self._memory_kills}th time: give the model more memory, less context or fewer slots, "
                "and reload"
            )

    def ready(self) -> None:
        """A replica came up: the loop is broken, though not forgotten within its window."""
        self.is_crash_loop = False
        self.reason = ""

    @property
    def is_given_up(self) -> bool:
        """Whether nothing is started any more until the settings change."""
        return self._memory_kills > MEMORY_RESTARTS_MAX

    def allows(self, now: float) -> bool:
        """Whether a start may be ordered now."""
        return now >= self.not_before

    def _wait_s(self) -> float:
        if self.is_crash_loop:
            return self._spec.backoff_s_max
        doubled = self._spec.backoff_s_min * 2.0 ** min(self._in_a_row - 1, 30)
        return min(doubled, self._spec.backoff_s_max)

    def _deaths_fill_window(self, now: float) -> bool:
        deaths = self._early_deaths
        return len(deaths) == deaths.maxlen and now - deaths[0] <= self._spec.crash_loop_window_s
