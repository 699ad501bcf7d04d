"""The slots model: a replica as llama.cpp runs it.

A request takes `base_s + prefill_token_s * prompt` until its first token and then decodes its other tokens, each at
`decode_token_s + decode_token_s_per_busy_slot * n` seconds while n slots of the replica are busy.

Law: between two events every decoding request of a replica advances alike, so one clock of tokens per replica is enough:
a change of n changes only the speed of that clock, and the cost of a request does not depend on its length.
"""

from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf

from toque.sim.arrival import Arrival


@dataclass(frozen=True, slots=True)
class SlotsProfile:
    """Parameters of one model on one machine, in seconds (docs/reference/profiles.md)."""

    slots: int
    base_s: float = 0.0
    prefill_token_s: float = 0.0
    decode_token_s: float = 0.0
    decode_token_s_per_busy_slot: float = 0.0

    def replica(self) -> "SlotsReplica":
        """Make a replica."""
        return SlotsReplica(self)

    def prefill_s(self, prompt_tokens: int) -> float:
        """Seconds until the first token."""
        return self.base_s + self.prefill_token_s * prompt_tokens

    def token_s(self, busy: int) -> float:
        """Seconds a further token takes while so many slots are busy."""
        return self.decode_token_s + self.decode_token_s_per_busy_slot * busy

    def service_s(self, arrival: Arrival) -> float:
        """Seconds in a slot of a full replica."""
        return self.prefill_s(arrival.prompt_tokens) + max(0, arrival.output_tokens - 1) * self.token_s(self.slots)

    def longest_s(self, arrival: Arrival) -> float:
        """Seconds in a slot at the most: those of a full replica."""
        return self.service_s(arrival)

    def least_work_s(self, arrival: Arrival) -> float:
        """Replica-seconds at the best packing: token_s(n) / n falls with n, so a full replica is the best."""
        return self.service_s(arrival) / self.slots


class SlotsReplica:
    """One replica; `now` is in seconds."""

    __slots__ = ("_busy", "_decoding", "_prefilling", "_profile", "_since", "_tokens")

    def __init__(self, profile: SlotsProfile) -> None:
        self._profile = profile
        self._busy = 0
        self._tokens = 0.0
        self._since = 0.0
        self._prefilling: list[tuple[float, int, int]] = []
        """(when the first token comes, number, output tokens)"""
        self._decoding: list[tuple[float, int]] = []
        """(reading of the clock of tokens at the end, number)"""

    def begin(self, number: int, prompt_tokens: int, output_tokens: int, now: float) -> None:
        """Take a request in; every decoding one slows down."""
        self._advance(now)
        self._busy += 1
        heappush(self._prefilling, (now + self._profile.prefill_s(prompt_tokens), number, output_tokens))

    def next_at(self) -> float:
        """When the next first token or end comes."""
        return min(self._prefilling[0][0] if self._prefilling else inf, self._end_at())

    def turn(self, now: float) -> list[tuple[int, bool]]:
        """Report first tokens and ends up to now; at one instant first tokens come first."""
        told: list[tuple[int, bool]] = []
        while (at := self.next_at()) <= now:
            if self._prefilling and self._prefilling[0][0] <= at:
                _, number, output_tokens = heappop(self._prefilling)
                self._advance(at)
                heappush(self._decoding, (self._tokens + max(0, output_tokens - 1), number))
                told.append((number, False))
            else:
                self._tokens, number = heappop(self._decoding)
                self._since = at
                self._busy -= 1
                told.append((number, True))
        return told

    def _end_at(self) -> float:
        if not self._decoding:
            return inf
        left = self._decoding[0][0] - self._tokens
        return self._since + left * self._profile.token_s(self._busy) if left > 0 else self._since

    def _advance(self, now: float) -> None:
        """Bring the clock of tokens up to now; it stands while nothing decodes."""
        if self._decoding:
            token_s = self._profile.token_s(self._busy)
            self._tokens += (now - self._since) / token_s if token_s else 0.0
        self._since = now
