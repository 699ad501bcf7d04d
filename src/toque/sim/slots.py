"""The slots model: a replica as llama.cpp runs it, or without what prompts do to each other there.

A request has its first token after `base_s + prefill_token_s * prompt` and then decodes its other tokens, each at
`decode_token_s + decode_token_s_per_busy_slot * n` seconds while n slots of the replica are busy. With prompts read together
only `base_s` passes for each by itself: all prompts that wait when a reading begins are read in it, one after the other; their
first tokens come at its end, who decodes gets one token of it, and who comes meanwhile waits for the next.

Law: between two events every decoding request of a replica advances alike, so one clock of tokens per replica is enough: a
change of n changes the speed of that clock, a reading halts it, and the cost of a request does not depend on its length.
"""

from dataclasses import dataclass
from enum import StrEnum
from heapq import heapify, heappop, heappush
from math import inf

from toque.sim.arrival import Arrival


class Prefill(StrEnum):
    """How the prompts of one replica are read: each as if it were alone, or together while everybody else stands still."""

    EACH = "each"
    TOGETHER = "together"


@dataclass(frozen=True, slots=True)
class SlotsProfile:
    """Parameters of one model on one machine, in seconds (docs/reference/profiles.md)."""

    slots: int
    base_s: float = 0.0
    prefill_token_s: float = 0.0
    decode_token_s: float = 0.0
    decode_token_s_per_busy_slot: float = 0.0
    prefill: Prefill = Prefill.EACH

    def replica(self) -> "SlotsReplica":
        """Make a replica."""
        return SlotsReplica(self)

    def prefill_s(self, prompt_tokens: int) -> float:
        """Seconds until the first token, if nobody else is there."""
        return self.base_s + self.prefill_token_s * prompt_tokens

    def token_s(self, busy: int) -> float:
        """Seconds a further token takes while so many slots are busy and no prompt is read."""
        return self.decode_token_s + self.decode_token_s_per_busy_slot * busy

    def service_s(self, arrival: Arrival) -> float:
        """Seconds in a slot of a replica full of its like."""
        prompts = self.slots if self.prefill is Prefill.TOGETHER else 1
        return self.prefill_s(prompts * arrival.prompt_tokens) + max(0, arrival.output_tokens - 1) * self.token_s(
            self.slots
        )

    def alone_s(self, arrival: Arrival) -> float:
        """Seconds in a slot of a replica that has nothing else."""
        return self.prefill_s(arrival.prompt_tokens) + max(0, arrival.output_tokens - 1) * self.token_s(1)

    def longest_s(self, arrival: Arrival, prompt_tokens_max: int) -> float:
        """Seconds in a slot at the most, beside prompts of up to `prompt_tokens_max`.

        1. each by itself: those of a full replica; 2. together: every token may come with a reading of all other slots; so may
        the wait for a reading under way, its own reading, and the rest of a token that was under way when the last one began.
        """
        if self.prefill is Prefill.EACH:  # 1
            return self.service_s(arrival)
        others_s = self.prefill_token_s * prompt_tokens_max * (self.slots - 1)
        steps = max(1, arrival.output_tokens) + 2
        return self.prefill_s(arrival.prompt_tokens) + steps * (others_s + self.token_s(self.slots))

    def least_work_s(self, arrival: Arrival) -> float:
        """Replica-seconds at the best packing: token_s(n) / n falls with n, so a full replica is the best.

        1. each by itself: a share of the time in a slot; 2. together: nothing else happens while a prompt is read, which is
        work in full; the base passes beside others' reading, so it is none.
        """
        if self.prefill is Prefill.EACH:  # 1
            return self.service_s(arrival) / self.slots
        decode_s = max(0, arrival.output_tokens - 1) * self.token_s(self.slots) / self.slots
        return self.prefill_token_s * arrival.prompt_tokens + decode_s  # 2


class SlotsReplica:
    """One replica; `now` is in seconds."""

    __slots__ = (
        "_base_s",
        "_busy",
        "_coming",
        "_decoding",
        "_own_token_s",
        "_profile",
        "_read_at",
        "_reading",
        "_shared_token_s",
        "_since",
        "_token_s",
        "_tokens",
    )

    def __init__(self, profile: SlotsProfile) -> None:
        self._profile = profile
        is_shared = profile.prefill is Prefill.TOGETHER
        self._own_token_s = 0.0 if is_shared else profile.prefill_token_s
        self._shared_token_s = profile.prefill_token_s if is_shared else 0.0
        self._base_s = profile.base_s
        self._busy = 0
        self._token_s = 0.0
        self._tokens = 0.0
        self._since = 0.0
        self._coming: list[tuple[float, int, int, int]] = []
        """(when what it does by itself is over, number, prompt tokens, output tokens) of those that were not read yet"""
        self._reading: list[tuple[int, int]] = []
        """(number, output tokens) of those that are read now, until `_read_at`"""
        self._read_at = 0.0
        self._decoding: list[tuple[float, int]] = []
        """(reading of the clock of tokens at the end, number)"""

    def begin(self, number: int, prompt_tokens: int, output_tokens: int, now: float) -> None:
        """Take a request in; every decoding one slows down."""
        self._advance(now)
        self._set_busy(self._busy + 1)
        own_s = self._base_s + self._own_token_s * prompt_tokens
        heappush(self._coming, (now + own_s, number, prompt_tokens, output_tokens))

    def leave(self, number: int, now: float) -> None:
        """Drop a request; a reading under way goes on without it."""
        self._advance(now)
        coming = [entry for entry in self._coming if entry[1] != number]
        reading = [entry for entry in self._reading if entry[0] != number]
        decoding = [entry for entry in self._decoding if entry[1] != number]
        before = len(self._coming) + len(self._reading) + len(self._decoding)
        if len(coming) + len(reading) + len(decoding) < before:
            self._set_busy(self._busy - 1)
        self._coming[:], self._reading[:], self._decoding[:] = coming, reading, decoding
        heapify(self._coming)
        heapify(self._decoding)

    def next_at(self) -> float:
        """When the next reading begins or ends, or the next answer ends; who decodes waits for the end of a reading."""
        if self._reading:
            return self._read_at
        end_at = self._end_at() if self._decoding else inf
        if self._coming and (open_at := self._coming[0][0]) < end_at:
            return max(self._since, open_at)
        return end_at

    def turn(self, now: float) -> list[tuple[int, bool]]:
        """Report first tokens and ends up to now; what ends at an instant ends before the next reading begins."""
        told: list[tuple[int, bool]] = []
        while (at := self.next_at()) <= now:
            if self._reading:
                self._close(told)
            elif self._decoding and self._end_at() <= at:
                self._end(at, told)
            else:
                self._open(at, told)
        return told

    def _end_at(self) -> float:
        left = self._decoding[0][0] - self._tokens
        return self._since + left * self._token_s if left > 0 else self._since

    def _open(self, now: float, told: list[tuple[int, bool]]) -> None:
        """Begin to read all prompts that are there; where nothing is left to read, first tokens come at once."""
        self._advance(now)
        tokens = 0
        while self._coming and self._coming[0][0] <= now:
            _, number, prompt_tokens, output_tokens = heappop(self._coming)
            tokens += prompt_tokens
            self._reading.append((number, output_tokens))
        read_s = self._shared_token_s * tokens
        if not read_s:
            self._first_tokens(told)
        elif self._decoding:
            read_s += self._profile.token_s(len(self._decoding))
        self._read_at = now + read_s

    def _close(self, told: list[tuple[int, bool]]) -> None:
        """End a reading: whoever decoded has one token more."""
        self._since = self._read_at
        if self._decoding:
            self._tokens += 1.0
        self._first_tokens(told)

    def _first_tokens(self, told: list[tuple[int, bool]]) -> None:
        for number, output_tokens in self._reading:
            heappush(self._decoding, (self._tokens + max(0, output_tokens - 1), number))
            told.append((number, False))
        self._reading.clear()

    def _end(self, now: float, told: list[tuple[int, bool]]) -> None:
        end, number = heappop(self._decoding)
        self._tokens = max(self._tokens, end)
        self._since = now
        self._set_busy(self._busy - 1)
        told.append((number, True))

    def _advance(self, now: float) -> None:
        """Bring the clock of tokens up to now; it stands while a prompt is read or nothing decodes."""
        if self._reading:
            return
        if self._decoding and self._token_s:
            self._tokens += (now - self._since) / self._token_s
        self._since = now

    def _set_busy(self, busy: int) -> None:
        self._busy = busy
        self._token_s = self._profile.token_s(busy)
