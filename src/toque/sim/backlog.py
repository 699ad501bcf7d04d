"""A backlog behind the traffic: a job of class batch whose items become requests as slots become idle, as the desk takes them on.

Law: memory does not grow with the job. What is under way has a slot, was put back from one, or is one of a few that wait for one;
the rest is a number. An item counts as done once, however often it was put back.
"""

from dataclasses import dataclass
from math import inf

from toque.core.roster import Roster
from toque.model.messages import Dispatch, Effect, Event, Failed, Finished, Preempt, Refuse
from toque.model.service_spec import JobSpec
from toque.model.ticket import ServiceClass
from toque.sim.arrival import Arrival

WAITING_MAX = JobSpec().waiting_max
"""Items that wait for a slot, as the desk has it by default. Its bound on all that is under way is taken for large enough."""
REST_S = 1.0
"""After a refusal that does not say when to come again: the desk's first pause."""


@dataclass(frozen=True, slots=True)
class Job:
    """`items` of the same lengths in tokens, all there from `at` (virtual seconds) on; without items it is none."""

    items: int = 0
    prompt_tokens: int = 500
    output_tokens: int = 100
    at: float = 0.0

    @property
    def item(self) -> Arrival:
        """One of them, taken on when the job came."""
        return self.taken_on(self.at)

    def taken_on(self, now: float) -> Arrival:
        """Return one of them as the request it becomes: nobody waits for it, so its answer is wanted whole."""
        return Arrival(
            now, self.prompt_tokens, self.output_tokens, service_class=ServiceClass.BATCH, is_whole=True, is_item=True
        )


class Backlog:
    """A job in one simulation. Times are in seconds; those of slots are added up over all slots.

    `left` are the items that were not taken on, `done` those that were answered, the last so far at `done_at`. Slots were idle, but
    for the job, for `idle_s` while it lasted, and it held them for `held_s`; `lost_s` of that was for nothing, because
    people took the slot (`preemptions`) or the replica died.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.left = job.items
        self.done = self.preemptions = 0
        self.idle_s = self.held_s = self.lost_s = 0.0
        self.done_at = job.at
        self._roster: Roster | None = None
        self._waiting: set[int] = set()
        self._held: dict[int, float] = {}
        """Items that have a slot -> since when."""
        self._rest_until = job.at
        self._idle_slots = 0
        self._now = 0.0

    @property
    def is_open(self) -> bool:
        """Whether anything of the job is still to be done."""
        return bool(self.left or self._held or self._waiting)

    def open(self, roster: Roster) -> None:
        """Say which pool it lies behind."""
        self._roster = roster

    def due(self, now: float) -> float:
        """When the next item is taken on; inf while enough of them wait, or none is left."""
        if not self.left or len(self._waiting) >= WAITING_MAX:
            return inf
        return max(now, self._rest_until)

    def take(self, number: int, now: float) -> Arrival:
        """Take the next item on, as the request of this number."""
        self.left -= 1
        self._waiting.add(number)
        return self.job.taken_on(now)

    def step(self, now: float, event: Event, effects: list[Effect]) -> None:
        """Follow the items, and how many slots nobody else uses."""
        if now > self._now:
            self.idle_s += self._idle_slots * (now - self._now)
            self._now = now
        match event:
            case Finished(number) if number in self._held:
                self._free(number, now)
                self.done += 1
                self.done_at = now
            case Failed(number, replica_id=0) if number in self._held:
                self._put_back(number, now)
            case _:
                pass
        for effect in effects:
            self._follow(effect, now)
        self._idle_slots = self._idle(now)

    def _follow(self, effect: Effect, now: float) -> None:
        match effect:
            case Dispatch(number) if number in self._waiting:
                self._waiting.discard(number)
                self._held[number] = now
            case Preempt(number) if number in self._held:
                self.preemptions += 1
                self._put_back(number, now)
            case Refuse(number, retry_after_s=after_s) if number in self._waiting:
                self._waiting.discard(number)
                self.left += 1
                self._rest_until = now + (after_s or REST_S)
            case _:
                pass

    def _put_back(self, number: int, now: float) -> None:
        self.lost_s += self._free(number, now)
        self._waiting.add(number)

    def _free(self, number: int, now: float) -> float:
        held_s = now - self._held.pop(number)
        self.held_s += held_s
        return held_s

    def _idle(self, now: float) -> int:
        """Slots that are free or the job's, as long as it lasts."""
        if self._roster is None or now < self.job.at or not self.is_open:
            return 0
        return self._roster.free_slots + len(self._held)
