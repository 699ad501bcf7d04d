"""The simulator's driver: where simulated replicas run, start, fail and stop.

Law: what it does comes back as events of later turns of the clockwork, never from within a call.
"""

import random
from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from typing import Protocol

from toque.model.condition import FailureCause
from toque.model.messages import Event, ReplicaFailed, ReplicaHealthy, ReplicaReady, ReplicaStopped
from toque.sim.clockwork import Clockwork
from toque.sim.faults import UNHEALTHY_AFTER_S, Faults
from toque.sim.replica import Life, ReplicaFactory

HUNG = 0.0


class Outside(Protocol):
    """Whom the driver reports to."""

    def post(self, event: Event) -> None:
        """Tell the core about a replica."""
        ...

    def served(self, replica_id: int, number: int, is_end: bool) -> None:  # noqa: FBT001 - a model's report, passed on as it is
        """A request's first token or its end."""
        ...

    def lost(self, replica_id: int) -> None:
        """A replica took its requests with it."""
        ...


class SimulatedDriver:
    """Runs replicas in virtual time. `timeouts_s` is each pool's limit for a start."""

    def __init__(
        self, clock: Clockwork, chance: random.Random, faults: Faults, timeouts_s: Mapping[str, float], outside: Outside
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._faults = faults
        self._timeouts_s = timeouts_s
        self._outside = outside
        self._lives: dict[int, Life | None] = {}
        """By replica; None while it is coming."""

    def start(self, pool: str, replica_id: int, cold_start_s: float, factory: ReplicaFactory) -> None:
        """Bring a replica up, or fail: too slow, or dead on arrival."""
        self._lives[replica_id] = None
        limit_s = self._timeouts_s[pool]
        if cold_start_s > limit_s:
            failed = ReplicaFailed(replica_id, FailureCause.START_TIMEOUT, f"not ready within {limit_s:g} s")
            self._later(limit_s, partial(self._fail, failed))
        elif self._faults.start_fails(self._chance):
            failed = ReplicaFailed(replica_id, FailureCause.EXITED, "ended while it started")
            self._later(cold_start_s, partial(self._fail, failed))
        else:
            self._later(cold_start_s, lambda: self._ready(replica_id, factory))

    def begin(self, replica_id: int, number: int, prompt_tokens: int, output_tokens: int) -> None:
        """Hand a request to a ready replica."""
        life = self._lives[replica_id]
        assert life is not None, f"replica {replica_id} is not ready"
        life.begin(number, prompt_tokens, output_tokens)

    def leave(self, replica_id: int, number: int) -> None:
        """Take a request from a replica that may be gone already."""
        life = self._lives.get(replica_id)
        if life is not None:
            life.leave(number)

    def stop(self, replica_id: int) -> None:
        """End a replica, with whatever it still has; one that just died is reported as that."""
        if replica_id not in self._lives:
            return
        life = self._lives.pop(replica_id)
        if life is not None:
            life.end()
        self._later(0.0, lambda: self._stopped(replica_id))

    def probe(self, replica_id: int) -> None:
        """Find out whether a replica answers; one that hangs will be found unhealthy in its time."""
        self._later(0.0, lambda: self._answer(replica_id))

    # ---- what becomes of a replica -----------------------------------------------------------------------------------

    def _ready(self, replica_id: int, factory: ReplicaFactory) -> None:
        if replica_id not in self._lives:  # stopped while it was coming
            return
        life = Life(factory(), self._clock, partial(self._outside.served, replica_id))
        self._lives[replica_id] = life
        pace = self._faults.pace(self._chance)
        if pace != 1:
            life.set_pace(pace)
        died = ReplicaFailed(replica_id, FailureCause.EXITED, "died")
        self._later(self._faults.death_s(self._chance), partial(self._fail, died))
        self._later(self._faults.next_hang_s(self._chance), lambda: self._hang(replica_id))
        self._outside.post(ReplicaReady(replica_id))

    def _hang(self, replica_id: int) -> None:
        life = self._lives.get(replica_id)
        if life is None:
            return
        pace = life.pace
        life.set_pace(HUNG)
        if self._faults.hang_s >= UNHEALTHY_AFTER_S:
            failed = ReplicaFailed(replica_id, FailureCause.UNHEALTHY, f"no answer for {UNHEALTHY_AFTER_S:g} s")
            self._later(UNHEALTHY_AFTER_S, partial(self._fail, failed))
        else:
            self._later(self._faults.hang_s, lambda: self._recover(replica_id, pace))

    def _recover(self, replica_id: int, pace: float) -> None:
        life = self._lives.get(replica_id)
        if life is not None:
            life.set_pace(pace)
            self._later(self._faults.next_hang_s(self._chance), lambda: self._hang(replica_id))

    def _fail(self, failed: ReplicaFailed) -> None:
        if failed.replica_id not in self._lives:  # stopped or dead already
            return
        life = self._lives.pop(failed.replica_id)
        if life is not None:
            life.end()
        self._outside.lost(failed.replica_id)
        self._outside.post(failed)

    def _stopped(self, replica_id: int) -> None:
        self._outside.lost(replica_id)
        self._outside.post(ReplicaStopped(replica_id))

    def _answer(self, replica_id: int) -> None:
        life = self._lives.get(replica_id)
        if life is not None and life.pace != HUNG:
            self._outside.post(ReplicaHealthy(replica_id))

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        if seconds < inf:
            self._clock.at(self._clock.now + seconds, call)
