"""Trials: a share of one model's requests goes to another, its canary, until that has failed too many.

Law: a canary is sent a request only when it could begin at once, and what it fails before its first byte goes back where it came from.
No chance is in it: of a hundred requests with a share of a tenth exactly ten try it.
"""

from collections.abc import Mapping
from dataclasses import replace

from toque.core.appeal import CAUSES
from toque.core.pool import Pool
from toque.model.fallback_spec import CanarySpec
from toque.model.messages import Abandoned, Divert, Effect, Event, Failed, Finished, Refuse
from toque.model.ticket import FallbackCause, Ticket


class Trial:
    """That of one model. `over` says why it ended; empty while it goes on."""

    __slots__ = ("_due", "answered", "failed", "over", "spec")

    def __init__(self, spec: CanarySpec) -> None:
        self.spec = spec
        self.answered = 0
        self.failed = 0
        self.over = ""
        self._due = 0.0

    @property
    def told(self) -> str:
        """How it goes, in a sentence."""
        so_far = f"{self.answered} answered, {self.failed} failed"
        if self.over:
            return f"the trial of {self.spec.model} is over ({so_far}): {self.over}"
        return f"{self.spec.model} is tried with {self.spec.share:.0%} of the requests: {so_far}"

    def is_next(self) -> bool:
        """Whether this request tries it."""
        self._due += self.spec.share
        if self._due < 1.0 - 1e-9:  # ten tenths are a little less than one
            return False
        self._due -= 1.0
        return True

    def learn(self, failure: str | None) -> None:
        """One request has ended: well, or with this failure. Too many of those end the trial."""
        if failure is None:
            self.answered += 1
            return
        self.failed += 1
        many, share = self.failed >= self.spec.failures_max, self.failed / (self.answered + self.failed)
        if many and share > self.spec.failures_ratio_max and not self.over:
            self.over = f"it failed {self.failed} of {self.answered + self.failed}, lastly by {failure}"


class Trials:
    """All trials of a fleet, by the model whose requests they are. `live` are the tickets that try something now."""

    __slots__ = ("_doors", "_trials", "live")

    def __init__(self, doors: Mapping[str, Pool]) -> None:
        self._doors = doors
        self._trials: dict[str, Trial] = {}
        self.live: dict[int, Trial] = {}

    def told(self, pool: Pool) -> str:
        """Say how the trial of a model goes; empty where there is none."""
        return self._trial(pool).told if pool.spec.canary.model else ""

    def forget(self, canary: str) -> None:
        """Try a model anew, for it is another one now: what its former version answered or failed says nothing of it."""
        for name in [name for name, trial in self._trials.items() if trial.spec.model == canary]:
            del self._trials[name]

    def lead(self, pool: Pool, ticket: Ticket, out: list[Effect]) -> tuple[Pool, Ticket]:
        """Return where a newcomer goes: 1. there is no trial, or it is over; 2. nothing is free there; 3. it is not its turn; 4. to the canary."""
        if not pool.spec.canary.model:  # 1
            return pool, ticket
        trial = self._trial(pool)
        canary = self._doors.get(trial.spec.model)
        if trial.over or canary is None or canary is pool:  # 1
            return pool, ticket
        roster = canary.supply.roster
        if roster.ready <= roster.barred or roster.free_slots <= 0 or not trial.is_next():  # 2, 3
            return pool, ticket
        self.live[ticket.id] = trial  # 4
        out.append(Divert(ticket.id, trial.spec.model, FallbackCause.CANARY, trial.told))
        return canary, replace(ticket, pool=trial.spec.model, fallbacks=(pool.spec.name, *ticket.fallbacks))

    def learn(self, event: Event, effects: list[Effect]) -> None:
        """See how those that try something ended: moved on or refused, answered or broken off, or nobody waits any more."""
        for effect in effects:
            if isinstance(effect, Refuse) or (isinstance(effect, Divert) and effect.cause is not FallbackCause.CANARY):
                cause = CAUSES.get(effect.reason) if isinstance(effect, Refuse) else effect.cause
                self._settle(effect.ticket_id, effect.reason if cause is FallbackCause.FAILURE else "")
        match event:
            case Finished(ticket_id):
                self._settle(ticket_id, None)
            case Failed(ticket_id, kind, began=True):
                self._settle(ticket_id, kind.value)
            case Abandoned(ticket_id):
                self._settle(ticket_id, "")
            case _:
                pass

    def _trial(self, pool: Pool) -> Trial:
        trial = self._trials.get(pool.spec.name)
        if trial is None or trial.spec != pool.spec.canary:
            trial = self._trials[pool.spec.name] = Trial(pool.spec.canary)
        return trial

    def _settle(self, ticket_id: int, failure: str | None) -> None:
        """Count an outcome; an empty failure says nothing of the canary."""
        trial = self.live.pop(ticket_id, None)
        if trial is not None and failure != "":
            trial.learn(failure)
