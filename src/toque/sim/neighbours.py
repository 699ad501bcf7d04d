"""What measured requests met on their replica: how busy it was, and the readings of prompts that held them.

Law: nothing is assumed about the replica but that it serves one request a slot. First tokens that came at one instant are
taken for one reading, which began when the first of its requests came, or when the reading before it was over.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import inf

from toque.model.value import value

TOGETHER_S = 0.005
"""First tokens no further apart came from one reading: several streams are written one after the other."""


@value
class Served:
    """One measured request. Times are seconds on one clock: its dispatch, its first token, its end."""

    prompt_tokens: int
    output_tokens: int
    began_s: float
    first_s: float
    ended_s: float

    @property
    def ttft_s(self) -> float:
        """Seconds from dispatch to the first token."""
        return self.first_s - self.began_s

    @property
    def service_s(self) -> float:
        """Seconds from dispatch to the end."""
        return self.ended_s - self.began_s

    @property
    def decode_s(self) -> float:
        """Seconds from the first token to the end."""
        return self.ended_s - self.first_s


@value
class Reading:
    """The prompts of one instant of first tokens. `decoding` slots were held by it; `is_fresh`: nothing was read before it."""

    start_s: float
    end_s: float
    prompt_tokens: int
    decoding: int
    is_fresh: bool


@value
class Met:
    """A measured request, its reading, and what held it while it decoded. `busy` and `busy_free` are mean busy slots while
    it decoded: all the time, and while nothing was read, `free_s`. `held` readings fell into that time, for `held_s`.
    """

    served: Served
    reading: Reading
    busy: float
    busy_free: float
    held: int
    held_s: float
    free_s: float


def meet(served: Sequence[Served], base_s: float = 0.0) -> list[Met]:
    """Return for every request what it met; `served` are all the requests of one replica, in any order.

    `base_s` is what passes between a request's dispatch and the reading of its prompt.
    """
    return _Replica(served, base_s).met()


class _Replica:
    def __init__(self, served: Sequence[Served], base_s: float) -> None:
        self._served = served
        self._base_s = base_s
        self._firsts = sorted(one.first_s for one in served)
        self._ends = sorted(one.ended_s for one in served)
        self._changes = sorted([(one.began_s, 1) for one in served] + [(one.ended_s, -1) for one in served])
        self._busy = list(accumulate(change for _, change in self._changes))
        spans_s = (later[0] - now[0] for now, later in zip(self._changes, self._changes[1:], strict=False))
        self._busy_s = [0.0, *accumulate(busy * span_s for busy, span_s in zip(self._busy, spans_s, strict=False))]
        self._readings = self._read()
        self._reading_ends = [reading.end_s for reading in self._readings]
        self._held_s = [0.0, *accumulate(one.end_s - one.start_s for one in self._readings)]
        held_busy_s = (self._busy_seconds(one.end_s) - self._busy_seconds(one.start_s) for one in self._readings)
        self._held_busy_s = [0.0, *accumulate(held_busy_s)]

    def met(self) -> list[Met]:
        return [self._meet(one) for one in self._served]

    def _meet(self, one: Served) -> Met:
        own = bisect_right(self._reading_ends, one.first_s - 1e-9)
        last = max(own, bisect_right(self._reading_ends, one.ended_s + TOGETHER_S) - 1)
        held_s = self._held_s[last + 1] - self._held_s[own + 1]
        busy_s = self._busy_seconds(one.ended_s) - self._busy_seconds(one.first_s)
        busy_free_s = busy_s - (self._held_busy_s[last + 1] - self._held_busy_s[own + 1])
        busy = busy_s / one.decode_s if one.decode_s else 1.0
        free_s = max(0.0, one.decode_s - held_s)
        busy_free = busy_free_s / free_s if free_s > TOGETHER_S else busy
        return Met(one, self._readings[own], busy, busy_free, last - own, held_s, free_s)

    def _read(self) -> list[Reading]:
        readings: list[Reading] = []
        batch: list[Served] = []
        for one in sorted(self._served, key=lambda one: one.first_s):
            if batch and one.first_s - batch[-1].first_s > TOGETHER_S:
                readings.append(self._reading(batch, readings))
                batch = []
            batch.append(one)
        return [*readings, self._reading(batch, readings)] if batch else readings

    def _reading(self, batch: Sequence[Served], before: Sequence[Reading]) -> Reading:
        ready_s, end_s = min(one.began_s for one in batch) + self._base_s, batch[-1].first_s
        free_s = before[-1].end_s if before else -inf
        start_s = min(max(ready_s, free_s), end_s)
        decoding = bisect_right(self._firsts, start_s) - bisect_right(self._ends, start_s)
        tokens = sum(one.prompt_tokens for one in batch)
        return Reading(start_s, end_s, tokens, max(0, decoding), ready_s >= free_s)

    def _busy_seconds(self, now: float) -> float:
        """Return the integral of busy slots up to an instant."""
        number = bisect_right(self._changes, (now, 2)) - 1
        if number < 0:
            return 0.0
        return self._busy_s[number] + self._busy[number] * (now - self._changes[number][0])
