"""Which replicas are much slower than their peers.

Law: a replica is compared with the median of the others, never with a clock: where all are slow it is the load, and nobody
is slow. One answer is compared with what is usual for an answer of its size, so that long ones make no replica slow.
"""

from collections import deque
from collections.abc import Iterable

from toque.core.replica import Replica
from toque.core.roster import Roster
from toque.model.condition import BreakerState
from toque.model.messages import Finished
from toque.model.trust_spec import EjectionSpec
from toque.model.view import ReplicaState

ANSWERS_KEPT = 16
"""Of each replica: a median of so many hardly moves by chance."""
LOOK_EACH_S = 0.25
"""Once so many are known, one each quarter of a second is enough: looking at each cost a quarter of a step of the core."""
PROMPT_SHIFT = 4
"""Reading 16 tokens costs about as much as writing one: between a processor (some 5) and an accelerator (50 and more)."""
_SIZES = 24
_WEIGHT = 0.05


class Ejection:
    """Speeds of one pool's replicas."""

    __slots__ = ("_answers", "_roster", "_spec", "_typical", "_usual_s")

    def __init__(self, spec: EjectionSpec, roster: Roster) -> None:
        self._spec = spec
        self._roster = roster
        self._answers: dict[int, deque[tuple[float, float]]] = {}
        self._usual_s = [0.0] * _SIZES
        self._typical = 1.0

    def revise(self, spec: EjectionSpec) -> None:
        """Judge by other settings from now on."""
        self._spec = spec

    def learn(self, replica: Replica, service_s: float, event: Finished, now: float) -> float:
        """Take in an answer; return how slow it was: 1 is as usual in this pool for an answer of its size."""
        size = min((event.output_tokens + (event.prompt_tokens >> PROMPT_SHIFT)).bit_length(), _SIZES - 1)
        usual_s = self._usual_s[size] or service_s
        self._usual_s[size] = usual_s + _WEIGHT * (service_s - usual_s)
        slowness = service_s / usual_s if usual_s else 1.0
        answers = self._answers.get(replica.id)
        if answers is None:
            answers = self._answers[replica.id] = deque(maxlen=ANSWERS_KEPT)
        answers.append((now, slowness))
        if len(answers) == ANSWERS_KEPT:
            replica.look_at = now + LOOK_EACH_S
        return slowness

    def is_slow(self, slowness: float) -> bool:
        """Whether one answer is too slow for a replica that was let through to show its speed."""
        return slowness >= self._spec.slow_factor * self._typical > 0

    def forget(self, replica: Replica) -> None:
        """Begin anew with a replica, or be done with one that is gone."""
        self._answers.pop(replica.id, None)

    def compare(self, now: float) -> list[tuple[Replica, float]]:
        """Return those to eject, slowest first, each with how many times as slow as its peers it is."""
        levels = sorted(self._levels(now), key=lambda level: level[0])
        found: list[tuple[Replica, float]] = []
        room = self._room()
        while len(levels) > 1 and len(found) < room:
            slowness, least, replica_id = levels.pop()
            peers = _median(level for level, _, _ in levels)
            if not peers or least < self._spec.slow_factor * peers:
                levels.append((slowness, least, replica_id))
                break
            found.append((self._roster.replicas[replica_id], slowness / peers))
        if levels:
            self._typical = _median(level for level, _, _ in levels)
        return found

    def _room(self) -> int:
        """How many more may be ejected. Whatever opened a breaker, that replica is not missed a second time."""
        ready = self._roster.in_state(ReplicaState.READY)
        troubled = sum(replica.breaker.state is not BreakerState.CLOSED for replica in ready)
        return min(max(1, int(self._spec.share_max * len(ready))), len(ready) - 1) - troubled

    def _levels(self, now: float) -> list[tuple[float, float, int]]:
        """Median slowness, and what almost all answers exceed, of every sound replica that has answered enough lately.

        Of five answers a median is three times as slow by chance once in a hundred times; all five are not.
        """
        levels = []
        for replica_id, answers in self._answers.items():
            replica = self._roster.replicas[replica_id]
            while answers and answers[0][0] < now - self._spec.window_s:
                answers.popleft()
            is_sound = replica.state is ReplicaState.READY and replica.breaker.state is BreakerState.CLOSED
            if is_sound and len(answers) >= self._spec.answers_min:
                ordered = sorted(slowness for _, slowness in answers)
                levels.append((_median(ordered), ordered[len(ordered) // 8], replica_id))
        return levels


def _median(values: Iterable[float]) -> float:
    """The middle, or the mean of the two in the middle."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return (ordered[last // 2] + ordered[(last + 1) // 2]) / 2
