"""The overload ladder: from measured pressure to what the gateway still does.

Law: up at once, down only after a calm and never by a single good sample; what is worst counts. Lack of time alone never takes
keep-alive, for clients that must connect anew cost a late loop more time. A sample that changes nothing need not even be told:
`matters` says so beforehand, which keeps journals flat.
"""

from typing import TypeAlias

from toque.model.messages import PressureMeasured
from toque.model.overload import OverloadSpec, Stage
from toque.model.ticket import ServiceClass

MEMORY_SLACK = 0.02
FILES_SLACK = 0.03
"""How far below a step its pressure must fall before the step is taken back: wider than the noise of a sample."""
LAG_CALM_S = 1.0
"""Four samples without lag: the backlog that caused it is worked off."""
FILES_CALM_S = 0.25
"""Descriptors are free the instant they are closed; service shall be back within a second."""

_Steps: TypeAlias = tuple[tuple[float, Stage], ...]
_State: TypeAlias = tuple[Stage, float | None]


class Gauge:
    """One kind of pressure. `steps` are (from which value, which stage), rising."""

    __slots__ = ("_calm_s", "_slack", "_steps", "state")

    def __init__(self, steps: _Steps, slack: float, calm_s: float) -> None:
        self._steps = steps
        self._slack = slack
        self._calm_s = calm_s
        self.state: _State = (Stage.NORMAL, None)
        """The stage, and since when it is calmer than that."""

    @property
    def calm_s(self) -> float:
        """How long a calm must last."""
        return self._calm_s

    def after(self, value: float, now: float) -> _State:
        """Say what the state would be.

        1. the stage is needed, or a higher one; 2. within the slack: it stays; 3. the calm begins, or 4. has not lasted;
        5. it has: down to what this value needs.
        """
        stage, calm_since = self.state
        needed = self._needed(value)
        if needed >= stage:  # 1
            return needed, None
        kept = min(stage, self._needed(value + self._slack))
        if kept == stage:  # 2
            return stage, None
        if calm_since is None:  # 3
            return stage, now
        if now - calm_since < self._calm_s:  # 4
            return stage, calm_since
        return kept, None  # 5

    def _needed(self, value: float) -> Stage:
        return max((stage for limit, stage in self._steps if value >= limit), default=Stage.NORMAL)


class Ladder:
    """Memory, event loop and open files of this process. `stage` is the highest that any of them needs.

    `keeps_alive`: neither memory nor open files need what an idle connection holds.
    """

    __slots__ = ("_files", "_lag", "_lag_s_max", "_late", "_memory", "keeps_alive", "reason", "stage")

    def __init__(self, spec: OverloadSpec) -> None:
        self.revise(spec)

    def revise(self, spec: OverloadSpec) -> None:
        """Go by other limits, from the bottom: the next sample finds its stage."""
        memory = (
            (spec.keep_alive_ratio, Stage.NO_KEEP_ALIVE),
            (spec.shed_batch_ratio, Stage.SHED_BATCH),
            (spec.shed_all_ratio, Stage.SHED_ALL),
            (spec.accept_ratio, Stage.STOP_ACCEPTING),
        )
        self._memory = Gauge(memory, MEMORY_SLACK, spec.memory_calm_s)
        self._lag = Gauge(((1, Stage.SHED_BATCH), (2, Stage.SHED_ALL)), 0.0, LAG_CALM_S)
        self._files = Gauge(((spec.open_files_ratio, Stage.STOP_ACCEPTING),), FILES_SLACK, FILES_CALM_S)
        self._lag_s_max = spec.loop_lag_s_max
        self._late = 0
        self.stage = Stage.NORMAL
        self.keeps_alive = True
        self.reason = ""

    def matters(self, seen: PressureMeasured, now: float) -> bool:
        """Whether a sample would change anything."""
        late, states = self._after(seen, now)
        return late != self._late or states != (self._memory.state, self._lag.state, self._files.state)

    def measure(self, seen: PressureMeasured, now: float) -> bool:
        """Take a sample in; True when the stage changed, or whether connections are kept."""
        self._late, (self._memory.state, self._lag.state, self._files.state) = self._after(seen, now)
        before = (self.stage, self.keeps_alive)
        held = max(self._memory.state[0], self._files.state[0])
        self.stage = max(held, self._lag.state[0])
        self.keeps_alive = held < Stage.NO_KEEP_ALIVE
        is_changed = (self.stage, self.keeps_alive) != before
        if is_changed:
            self.reason = self._tell(seen)
        return is_changed

    def sheds(self, service_class: ServiceClass) -> bool:
        """Whether new requests of a class are refused."""
        return self.stage >= (Stage.SHED_BATCH if service_class is ServiceClass.BATCH else Stage.SHED_ALL)

    def retry_after_s(self) -> float:
        """The least time until this stage can end."""
        return max(gauge.calm_s for gauge in (self._memory, self._lag, self._files) if gauge.state[0] is self.stage)

    def _after(self, seen: PressureMeasured, now: float) -> tuple[int, tuple[_State, _State, _State]]:
        late = min(self._late + 1, 2) if seen.loop_lag_s > self._lag_s_max else 0
        return late, (
            self._memory.after(seen.memory_ratio, now),
            self._lag.after(late, now),
            self._files.after(seen.open_files_ratio, now),
        )

    def _tell(self, seen: PressureMeasured) -> str:
        """Name what holds the stage; empty at the bottom."""
        told = (
            (self._memory, f"memory at {seen.memory_ratio:.0%}"),
            (self._lag, f"event loop late by {seen.loop_lag_s:.2f} s"),
            (self._files, f"open files at {seen.open_files_ratio:.0%}"),
        )
        return "; ".join(text for gauge, text in told if gauge.state[0] is self.stage and self.stage)
