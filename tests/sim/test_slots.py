"""The slots model against one that goes forward in tiny steps, and against sums done by hand."""

from collections import deque
from dataclasses import dataclass, field, replace
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.test_batching import reports, workload
from toque.sim.arrival import Arrival
from toque.sim.slots import Prefill, SlotsProfile

PROFILE = SlotsProfile(
    slots=8, base_s=0.05, prefill_token_s=0.001, decode_token_s=0.01, decode_token_s_per_busy_slot=0.005
)
TOGETHER = replace(PROFILE, prefill=Prefill.TOGETHER)


@dataclass
class Naive:
    """One request: seconds by itself, seconds of a reading, then tokens to decode."""

    number: int
    coming_s: float
    read_s: float
    tokens: float

    @staticmethod
    def of(profile: SlotsProfile, number: int, arrival: Arrival) -> "Naive":
        own_s, read_s = profile.prefill_s(arrival.prompt_tokens), 0.0
        if profile.prefill is Prefill.TOGETHER:
            own_s, read_s = profile.base_s, own_s - profile.base_s
        return Naive(number, own_s, read_s, arrival.output_tokens - 1)


@dataclass
class Plain:
    """A replica that goes from change to change and advances every request by itself: quadratic in their number."""

    profile: SlotsProfile
    now: float = 0.0
    read_at: float = inf
    coming: list[Naive] = field(default_factory=list)
    reading: list[Naive] = field(default_factory=list)
    decoding: list[Naive] = field(default_factory=list)
    came: dict[tuple[int, bool], float] = field(default_factory=dict)

    @property
    def token_s(self) -> float:
        return self.profile.token_s(len(self.coming) + len(self.decoding))

    def next_at(self) -> float:
        nexts = [self.now + one.coming_s for one in self.coming if one.coming_s]
        nexts += [self.now + one.tokens * self.token_s for one in self.decoding if not self.reading]
        return min([*nexts, self.read_at])

    def advance(self, now: float) -> None:
        span_s, tokens = now - self.now, 0.0 if self.reading else (now - self.now) / self.token_s
        for one in self.coming:
            one.coming_s = 0.0 if one.coming_s - span_s < 1e-12 else one.coming_s - span_s
        for one in self.decoding:
            one.tokens -= tokens
        self.now = now

    def change(self) -> None:
        """End a reading, then what is at its end, then begin a reading."""
        if self.now == self.read_at:
            for one in self.decoding:
                one.tokens -= 1
            self.first_tokens()
        if not self.reading:
            self.end()
            self.reading = [one for one in self.coming if not one.coming_s]
            self.coming = [one for one in self.coming if one.coming_s]
            read_s = sum(one.read_s for one in self.reading)
            if read_s:
                self.read_at = self.now + read_s + (self.profile.token_s(len(self.decoding)) if self.decoding else 0.0)
            else:
                self.first_tokens()
                self.end()

    def first_tokens(self) -> None:
        self.came |= {(one.number, False): self.now for one in self.reading}
        self.decoding, self.reading, self.read_at = self.decoding + self.reading, [], inf

    def end(self) -> None:
        self.came |= {(one.number, True): self.now for one in self.decoding if one.tokens < 1e-9}
        self.decoding = [one for one in self.decoding if one.tokens >= 1e-9]


def by_pieces(profile: SlotsProfile, arrivals: list[Arrival]) -> dict[tuple[int, bool], float]:
    """Tell when each first token and each end comes."""
    plain = Plain(profile)
    for number, one in enumerate(arrivals):
        while (at := plain.next_at()) <= one.at:
            plain.advance(at)
            plain.change()
        plain.advance(one.at)
        plain.coming.append(Naive.of(profile, number, one))
    while (at := plain.next_at()) < inf:
        plain.advance(at)
        plain.change()
    return plain.came


SIZES = st.tuples(st.floats(0.001, 0.7), st.integers(1, 500), st.integers(1, 60))


@settings(max_examples=150, deadline=None)
@given(gaps=st.lists(SIZES, min_size=1, max_size=12), profile=st.sampled_from([PROFILE, TOGETHER]))
def test_one_clock_of_tokens_agrees_with_every_request_counted_by_itself(
    gaps: list[tuple[float, int, int]], profile: SlotsProfile
) -> None:
    arrivals = workload(gaps)
    came = {(number, is_end): at for at, number, is_end in reports(profile.replica(), arrivals)}
    assert came == pytest.approx(by_pieces(profile, arrivals), rel=1e-7)


def test_two_requests_slow_each_other_down_as_the_formula_says() -> None:
    profile = SlotsProfile(2, base_s=1.0, prefill_token_s=0.01, decode_token_s=0.1, decode_token_s_per_busy_slot=0.1)
    came = list(reports(profile.replica(), [Arrival(0.0, 100, 11), Arrival(1.0, 0, 11)]))
    # both have their first token at 2.0; then 10 tokens at 0.1 + 0.2 s each
    assert came == [(2.0, 0, False), (2.0, 1, False), (pytest.approx(5.0), 0, True), (pytest.approx(5.0), 1, True)]


def test_prompts_that_come_while_one_is_read_are_read_together_after_it() -> None:
    profile = SlotsProfile(3, prefill_token_s=0.01, prefill=Prefill.TOGETHER)
    came = list(reports(profile.replica(), [Arrival(0.0, 100), Arrival(0.5, 50), Arrival(0.9, 150)]))
    # the first alone, 1 s; then the other two in 0.5 + 1.5 s
    assert [(at, number) for at, number, is_end in came if not is_end] == [(1.0, 0), (3.0, 1), (3.0, 2)]


def test_a_reading_holds_who_decodes_for_one_token() -> None:
    profile = SlotsProfile(2, prefill_token_s=0.01, decode_token_s=0.1, prefill=Prefill.TOGETHER)
    came = list(reports(profile.replica(), [Arrival(0.0, 100, 11), Arrival(1.45, 300, 2)]))
    # 4.5 tokens from 1.0 to 1.45; a reading of 3 s and the step of its own 0.1 s brings one; 4.5 more are due
    assert [(number, is_end) for _, number, is_end in came] == [(0, False), (1, False), (1, True), (0, True)]
    assert [at for at, _, _ in came] == pytest.approx([1.0, 4.55, 4.65, 5.0])


def test_a_last_token_that_was_under_way_comes_at_the_end_of_the_reading() -> None:
    profile = SlotsProfile(2, prefill_token_s=0.01, decode_token_s=0.1, prefill=Prefill.TOGETHER)
    came = list(reports(profile.replica(), [Arrival(0.0, 100, 2), Arrival(1.05, 100, 1)]))
    assert [at for at, _, _ in came] == pytest.approx([1.0, 2.15, 2.15, 2.15])


def test_what_a_request_takes_before_its_prompt_holds_nobody() -> None:
    profile = SlotsProfile(2, 1.0, 0.01, 0.1, 0.1, Prefill.TOGETHER)
    came = list(reports(profile.replica(), [Arrival(0.0, 0, 11), Arrival(1.0, 0, 11)]))
    # 0.3 s a token while both slots are busy: the first ends at 1 + 3; the other has 10 / 3 tokens left then, at 0.2 s
    assert [(number, is_end) for _, number, is_end in came] == [(0, False), (1, False), (0, True), (1, True)]
    assert [at for at, _, _ in came] == pytest.approx([1.0, 2.0, 4.0, 4.0 + 2 / 3])


def test_an_answer_of_one_token_ends_with_its_first() -> None:
    assert list(reports(SlotsProfile(1, base_s=2.0).replica(), [Arrival(1.0)])) == [(3.0, 0, False), (3.0, 0, True)]


@pytest.mark.parametrize(("profile", "idle_s"), [(PROFILE, 0.0), (TOGETHER, TOGETHER.base_s)])
def test_a_full_replica_is_the_best_packing(profile: SlotsProfile, idle_s: float) -> None:
    arrivals = [Arrival(0.0, 100, 50)] * 8
    ends = [at for at, _, is_end in reports(profile.replica(), arrivals) if is_end]
    assert max(ends) == pytest.approx(profile.service_s(arrivals[0]), rel=1e-9)
    assert sum(map(profile.least_work_s, arrivals)) == pytest.approx(max(ends) - idle_s)
    alone = [at for at, _, is_end in reports(profile.replica(), arrivals[:1]) if is_end]
    assert profile.least_work_s(arrivals[0]) < alone[0] < profile.service_s(arrivals[0])


@settings(max_examples=150, deadline=None)
@given(
    gaps=st.lists(SIZES, min_size=1, max_size=40),
    slots=st.integers(1, 8),
    prefill=st.sampled_from(Prefill),
    prefill_token_s=st.sampled_from([0.0, 0.0001, 0.001]),
)
def test_no_request_outstays_the_longest_and_no_replica_works_more_than_it_can(
    gaps: list[tuple[float, int, int]], slots: int, prefill: Prefill, prefill_token_s: float
) -> None:
    profile = SlotsProfile(slots, 0.05, prefill_token_s, 0.01, 0.005, prefill)
    arrivals = workload(gaps)
    took_s, busy_s = in_slots(profile, arrivals)
    longest = max(one.prompt_tokens for one in arrivals)
    for one, stay_s in zip(arrivals, took_s, strict=True):
        assert profile.prefill_s(one.prompt_tokens) <= stay_s + 1e-9
        assert stay_s <= profile.longest_s(one, longest) + 1e-9
    assert sum(map(profile.least_work_s, arrivals)) <= busy_s + 1e-9


def in_slots(profile: SlotsProfile, arrivals: list[Arrival]) -> tuple[list[float], float]:
    """Serve a line whose next request takes the first free slot; return the stay of each, and the replica's busy time."""
    replica = profile.replica()
    line, free = deque(enumerate(arrivals)), profile.slots
    began, took_s = [0.0] * len(arrivals), [0.0] * len(arrivals)
    now = busy_s = 0.0
    while line or free < profile.slots:
        comes_at = max(now, line[0][1].at) if line and free else inf
        then = min(comes_at, replica.next_at())
        busy_s, now = busy_s + (then - now if free < profile.slots else 0.0), then
        if comes_at <= now:
            number, one = line.popleft()
            replica.begin(number, one.prompt_tokens, one.output_tokens, now)
            began[number], free = now, free - 1
        for number, is_end in replica.turn(now):
            if is_end:
                took_s[number], free = now - began[number], free + 1
    return took_s, busy_s
