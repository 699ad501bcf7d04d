"""The batching model: a replica as vLLM runs it, with continuous batching and chunked prefill.

An iteration takes `a + b * n + c * K + p * m` seconds with n requests in it, K tokens in the KV cache and m prompt tokens to
prefill. It gives every decoding request one token; what is left of `batch_tokens` goes to prompts, first come first served. A
request is admitted while its prompt fits into the cache. When the next tokens do not fit, the request admitted last goes back
to the line and is computed anew.

Law: between two changes of what is in an iteration, the time of k iterations is a closed form (K grows evenly, so it is
quadratic in k): the cost of a request does not depend on its length.
"""

from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush
from math import ceil, inf, sqrt

from toque.sim.arrival import Arrival


@dataclass(frozen=True, slots=True)
class BatchingProfile:
    """Parameters of one model on one machine (docs/reference/profiles.md). `slots` are requests in one iteration."""

    slots: int
    iteration_s: float
    kv_tokens: int
    iteration_s_per_request: float = 0.0
    iteration_s_per_cached_token: float = 0.0
    prefill_token_s: float = 0.0
    batch_tokens: int = 8192

    def replica(self) -> "BatchingReplica":
        """Make a replica."""
        return BatchingReplica(self)

    def least_work_s(self, arrival: Arrival) -> float:
        """Replica-seconds at the best packing: its own tokens and cache, and an equal share of what an iteration costs."""
        prompt, output = arrival.prompt_tokens, max(1, arrival.output_tokens)
        cached = (output - 1) * prompt + (output - 1) * (output - 2) / 2
        own_s = self.prefill_token_s * prompt + self.iteration_s_per_cached_token * cached
        return own_s + output * (self.iteration_s / self.slots + self.iteration_s_per_request)

    def prefill_s(self, prompt_tokens: int) -> float:
        """Seconds until the first token, if it is alone."""
        iterations = max(1, ceil(prompt_tokens / self.batch_tokens))
        return iterations * (self.iteration_s + self.iteration_s_per_request) + self.prefill_token_s * prompt_tokens

    def service_s(self, arrival: Arrival) -> float:
        """Seconds in a slot of a replica that is full of requests like this one."""
        return self.least_work_s(arrival) * self.slots

    def alone_s(self, arrival: Arrival) -> float:
        """Seconds in a slot of a replica that has nothing else."""
        tokens = max(0, arrival.output_tokens - 1)
        cached = tokens * arrival.prompt_tokens + tokens * (tokens - 1) / 2
        own_s = tokens * (self.iteration_s + self.iteration_s_per_request) + self.iteration_s_per_cached_token * cached
        return self.prefill_s(arrival.prompt_tokens) + own_s

    def longest_s(self, arrival: Arrival, prompt_tokens_max: int) -> float:
        """Seconds in a slot at the most, if it is never computed anew: behind a full cache of prompts, at the slowest."""
        full_s = self.iteration_s + self.iteration_s_per_request * self.slots
        full_s += self.iteration_s_per_cached_token * self.kv_tokens + self.prefill_token_s * self.batch_tokens
        prefills = ceil((arrival.prompt_tokens + self.kv_tokens) / (self.batch_tokens - self.slots))
        return (prefills + 1 + arrival.output_tokens) * full_s


class _Sequence:
    """A request inside a replica. `context` are the tokens its prefill computes: the prompt, and what it made before."""

    __slots__ = ("began", "context", "end", "left", "made", "number", "prompt", "wanted")

    def __init__(self, number: int, prompt_tokens: int, output_tokens: int) -> None:
        self.number = number
        self.prompt = max(1, prompt_tokens)
        self.wanted = max(1, output_tokens)
        self.made = 0
        self.context = self.left = self.prompt
        self.began = self.end = 0
        """Readings of the replica's count of iterations when it begins to decode, and at its last token."""


class BatchingReplica:
    """One replica; `now` is in seconds."""

    __slots__ = (
        "_cached",
        "_chunks",
        "_decoding",
        "_ends",
        "_first_s",
        "_growth_s",
        "_iterations",
        "_left",
        "_prefilling",
        "_profile",
        "_running",
        "_since",
        "_steps",
        "_taken",
        "_waiting",
    )

    def __init__(self, profile: BatchingProfile) -> None:
        self._profile = profile
        self._waiting: deque[_Sequence] = deque()
        self._running: dict[int, _Sequence] = {}
        """In the order of admission."""
        self._prefilling: dict[int, _Sequence] = {}
        self._ends: list[tuple[int, int]] = []
        """(count of iterations at its last token, number) of decoding requests, and of some that were put back since."""
        self._decoding = 0
        self._iterations = 0
        self._cached = 0
        self._taken = 0
        """Tokens of the cache that are spoken for: whole prompts of all admitted, and what they made."""
        self._since = 0.0
        self._steps = 0
        self._first_s = self._growth_s = 0.0
        self._chunks: list[tuple[_Sequence, int]] = []
        self._left: set[int] = set()
        """Who is dropped when the iteration under way has ended."""

    def begin(self, number: int, prompt_tokens: int, output_tokens: int, now: float) -> None:
        """Take a request in; it joins when the iteration under way has ended."""
        self._waiting.append(_Sequence(number, prompt_tokens, output_tokens))
        if not self._running:
            self._since = now
            self._schedule()
        elif self._steps > 1:
            self._steps = min(self._steps, self._steps_until(now))

    def leave(self, number: int, now: float) -> None:
        """Drop a request: at once while it waits, else when the iteration under way has ended."""
        waiting = [sequence for sequence in self._waiting if sequence.number != number]
        if len(waiting) < len(self._waiting):
            self._waiting = deque(waiting)
        elif number in self._running:
            self._left.add(number)
            if self._steps > 1:
                self._steps = min(self._steps, self._steps_until(now))

    def next_at(self) -> float:
        """When the iterations planned last have ended."""
        return self._since + self._span_s(self._steps) if self._running else inf

    def turn(self, now: float) -> list[tuple[int, bool]]:
        """Report first tokens and ends up to now."""
        told: list[tuple[int, bool]] = []
        while (at := self.next_at()) <= now:
            self._since = at
            ended: list[tuple[int, bool]] = []
            self._end_iterations(ended)
            told += [(number, is_end) for number, is_end in ended if number not in self._left]
            self._drop_left()
            self._schedule()
        return told

    # ---- the iterations planned last have ended ----------------------------------------------------------------------

    def _end_iterations(self, told: list[tuple[int, bool]]) -> None:
        steps = self._steps
        self._iterations += steps
        self._taken += steps * self._decoding
        self._cached += steps * self._decoding
        while (end := self._next_end()) is not None and end <= self._iterations:
            number = heappop(self._ends)[1]
            self._leave(self._running.pop(number))
            told.append((number, True))
        for sequence, chunk in self._chunks:
            sequence.left -= steps * chunk
            self._cached += steps * chunk
            if not sequence.left:
                self._begin_decoding(sequence, told)

    def _begin_decoding(self, sequence: _Sequence, told: list[tuple[int, bool]]) -> None:
        """The whole context is cached, which gives a token."""
        del self._prefilling[sequence.number]
        sequence.made += 1
        if sequence.made == 1:
            told.append((sequence.number, False))
        sequence.began = self._iterations
        sequence.end = self._iterations + sequence.wanted - sequence.made
        self._decoding += 1
        if sequence.made == sequence.wanted:
            self._leave(self._running.pop(sequence.number))
            told.append((sequence.number, True))
        else:
            heappush(self._ends, (sequence.end, sequence.number))

    def _drop_left(self) -> None:
        """Forget those who were given up, as far as they have not ended meanwhile."""
        for number in self._left & self._running.keys():
            self._withdraw(self._running.pop(number))
        self._left.clear()

    def _withdraw(self, sequence: _Sequence) -> None:
        """Give back what an admitted request holds of the cache."""
        if self._prefilling.pop(sequence.number, None) is None:
            sequence.made += self._iterations - sequence.began
            self._leave(sequence)
        else:
            self._taken -= sequence.context
            self._cached -= sequence.context - sequence.left

    def _leave(self, sequence: _Sequence) -> None:
        """Give back what a decoding request holds of the cache."""
        held = sequence.context + self._iterations - sequence.began
        self._decoding -= 1
        self._cached -= held
        self._taken -= held

    # ---- what is in the next iterations ------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if not self._put_back():
            self._admit()
        if not self._running:
            return
        profile = self._profile
        room = profile.batch_tokens - self._decoding
        self._chunks.clear()
        prefill = 0
        for sequence in self._prefilling.values():
            if prefill >= room:
                break
            chunk = min(sequence.left, room - prefill)
            self._chunks.append((sequence, chunk))
            prefill += chunk
        self._steps = self._like_steps()
        requests = self._decoding + len(self._chunks)
        cached_s = profile.iteration_s_per_cached_token
        self._first_s = profile.iteration_s + profile.iteration_s_per_request * requests
        self._first_s += cached_s * self._cached + profile.prefill_token_s * prefill
        self._growth_s = cached_s * (self._decoding + prefill)

    def _put_back(self) -> bool:
        """While the next tokens do not fit, put the request admitted last back to the front of the line."""
        has_put_back = False
        while len(self._running) > 1 and self._taken + self._decoding > self._profile.kv_tokens:
            _, sequence = self._running.popitem()
            self._withdraw(sequence)
            sequence.context = sequence.left = sequence.prompt + sequence.made
            sequence.end = -1
            self._waiting.appendleft(sequence)
            has_put_back = True
        return has_put_back

    def _admit(self) -> None:
        """Admit who waits, in turn, while prompts fit; one that never fits runs alone."""
        while self._waiting:
            sequence = self._waiting[0]
            if self._running and self._taken + self._decoding + sequence.context > self._profile.kv_tokens:
                return
            self._waiting.popleft()
            self._running[sequence.number] = self._prefilling[sequence.number] = sequence
            self._taken += sequence.context

    def _like_steps(self) -> int:
        """How many iterations will be alike: until a prompt's last chunk, a request's last token, or a full cache."""
        steps: float = inf
        if self._chunks:
            sequence, chunk = self._chunks[0]
            steps = (sequence.left - 1) // chunk if sequence.left > chunk else 1
        end = self._next_end()
        if end is not None:
            steps = min(steps, end - self._iterations)
        if self._decoding and len(self._running) > 1:
            steps = min(steps, (self._profile.kv_tokens - self._taken) // self._decoding)
        return max(1, int(steps))

    def _next_end(self) -> int | None:
        """Iteration count at the next last token; entries of requests that were put back are dropped here."""
        while self._ends:
            end, number = self._ends[0]
            sequence = self._running.get(number)
            if sequence is not None and sequence.end == end and number not in self._prefilling:
                return end
            heappop(self._ends)
        return None

    # ---- closed form -------------------------------------------------------------------------------------------------

    def _span_s(self, steps: int) -> float:
        """Seconds that so many iterations take from the first on: each takes `_growth_s` longer than the one before."""
        return steps * self._first_s + self._growth_s * (steps * (steps - 1) / 2)

    def _steps_until(self, now: float) -> int:
        """How many iterations have begun before now, at least one: the root of the quadratic, put right by whole steps."""
        span_s = now - self._since
        slope_s = self._first_s - self._growth_s / 2
        root = 2 * span_s / (slope_s + sqrt(slope_s * slope_s + 2 * self._growth_s * max(0.0, span_s)))
        steps = max(1, ceil(root))
        while steps > 1 and self._span_s(steps - 1) >= span_s:
            steps -= 1
        while self._span_s(steps) < span_s:
            steps += 1
        return steps
