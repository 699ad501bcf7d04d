"""The batching model against one that goes through every iteration and every token."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toque.sim.arrival import Arrival
from toque.sim.batching import BatchingProfile
from toque.sim.replica import SimulatedReplica

TINY = BatchingProfile(
    slots=8,
    iteration_s=0.01,
    kv_tokens=120,
    iteration_s_per_request=0.001,
    iteration_s_per_cached_token=0.0001,
    prefill_token_s=0.0005,
    batch_tokens=16,
)


@dataclass
class Naive:
    """One request of the step-by-step model."""

    number: int
    prompt: int
    wanted: int
    computed: int = 0
    made: int = 0
    context: int = field(init=False)

    def __post_init__(self) -> None:
        self.context = self.prompt

    @property
    def decodes(self) -> bool:
        return self.computed >= self.context


def step_by_step(profile: BatchingProfile, arrivals: list[Arrival]) -> dict[tuple[int, bool], float]:
    """Go through every iteration; return when each first token and each end came."""
    ahead = deque(Naive(number, max(1, a.prompt_tokens), a.output_tokens) for number, a in enumerate(arrivals))
    line: deque[Naive] = deque()
    running: list[Naive] = []
    came: dict[tuple[int, bool], float] = {}
    now = 0.0
    while ahead or line or running:
        if not running and not line:
            now = max(now, arrivals[ahead[0].number].at)
            line.append(ahead.popleft())
        while ahead and arrivals[ahead[0].number].at <= now:
            line.append(ahead.popleft())
        now += iterate(profile, line, running)
        for one in list(running):
            if one.made and (one.number, False) not in came:
                came[one.number, False] = now
            if one.made == one.wanted:
                came[one.number, True] = now
                running.remove(one)
    return came


def taken(running: list[Naive]) -> int:
    """Tokens of the cache that are spoken for, those of the next iteration included."""
    return sum(max(one.context, one.computed) + one.decodes for one in running)


def join(profile: BatchingProfile, line: deque[Naive], running: list[Naive]) -> None:
    """Put back who does not fit any more; else admit who fits."""
    before = len(running)
    while len(running) > 1 and taken(running) > profile.kv_tokens:
        last = running.pop()
        last.context, last.computed = last.prompt + last.made, 0
        line.appendleft(last)
    while len(running) >= before and line:
        if running and taken(running) + line[0].context > profile.kv_tokens:
            break
        running.append(line.popleft())


def iterate(profile: BatchingProfile, line: deque[Naive], running: list[Naive]) -> float:
    """Compute one iteration; return its seconds."""
    join(profile, line, running)
    cached = sum(one.computed for one in running)
    decoders = [one for one in running if one.decodes]
    room = profile.batch_tokens - len(decoders)
    prefilled = chunks = 0
    for one in running:
        chunk = 0 if one.decodes else min(room - prefilled, one.context - one.computed)
        if chunk:
            one.computed += chunk
            prefilled += chunk
            chunks += 1
            one.made += one.decodes
    for one in decoders:
        one.computed += 1
        one.made += 1
    return (
        profile.iteration_s
        + profile.iteration_s_per_request * (len(decoders) + chunks)
        + profile.iteration_s_per_cached_token * cached
        + profile.prefill_token_s * prefilled
    )


def in_closed_form(replica: SimulatedReplica, arrivals: list[Arrival]) -> dict[tuple[int, bool], float]:
    return {(number, is_end): at for at, number, is_end in reports(replica, arrivals)}


def reports(replica: SimulatedReplica, arrivals: list[Arrival]) -> Iterator[tuple[float, int, bool]]:
    """Play arrivals through a model; yield (when, request, whether it is its end)."""
    for number, arrival in enumerate(arrivals):
        while (at := replica.next_at()) < arrival.at:
            yield from ((at, *told) for told in replica.turn(at))
        replica.begin(number, arrival.prompt_tokens, arrival.output_tokens, arrival.at)
    while (at := replica.next_at()) < float("inf"):
        yield from ((at, *told) for told in replica.turn(at))


def workload(gaps: list[tuple[float, int, int]]) -> list[Arrival]:
    at = 0.0
    made = []
    for gap, prompt, output in gaps:
        at += gap
        made.append(Arrival(at, prompt, output))
    return made


GAPS = st.floats(0.000123, 0.4).map(lambda gap: gap * 1.000000317)
SIZES = st.tuples(GAPS, st.integers(1, 60), st.integers(1, 40))


@settings(max_examples=150, deadline=None)
@given(st.lists(SIZES, min_size=1, max_size=14), st.integers(30, 200))
def test_closed_form_and_step_by_step_agree_on_every_token_that_is_reported(
    gaps: list[tuple[float, int, int]], kv_tokens: int
) -> None:
    profile = BatchingProfile(8, 0.01, kv_tokens, 0.001, 0.0001, 0.0005, 16)
    arrivals = workload(gaps)
    assert in_closed_form(profile.replica(), arrivals) == pytest.approx(step_by_step(profile, arrivals), rel=1e-9)


def test_a_full_cache_puts_the_last_one_back_and_loses_no_token() -> None:
    arrivals = workload([(0.001, 40, 30), (0.001, 40, 30), (0.001, 30, 5)])
    came = in_closed_form(TINY.replica(), arrivals)
    assert came == pytest.approx(step_by_step(TINY, arrivals), rel=1e-12)
    roomy = BatchingProfile(8, 0.01, 10_000, 0.001, 0.0001, 0.0005, 16)
    assert came[1, True] > in_closed_form(roomy.replica(), arrivals)[1, True], "it had to be computed anew"


def test_one_request_alone_takes_what_the_formula_says() -> None:
    profile = BatchingProfile(256, 0.0298, 1_000_000, 0.00021, 1.7e-7, 0.000091, 8192)
    came = in_closed_form(profile.replica(), [Arrival(0.0, 1000, 101)])
    assert came[0, False] == pytest.approx(0.0298 + 0.00021 + 0.000091 * 1000)
    decode_s = 100 * (0.0298 + 0.00021) + 1.7e-7 * (100 * 1000 + 99 * 100 / 2)
    assert came[0, True] - came[0, False] == pytest.approx(decode_s)


def test_the_number_of_turns_does_not_depend_on_the_length_of_an_answer() -> None:
    profile = BatchingProfile(64, 0.01, 10_000_000, 0.001, 1e-7, 0.0001, 512)
    replica = profile.replica()
    for number in range(50):
        replica.begin(number, 5000, 100_000 + number, 0.001 * number)
    turns = 0
    while (at := replica.next_at()) < float("inf"):
        replica.turn(at)
        turns += 1
    assert turns < 50 * 6


def test_the_least_work_is_never_more_than_a_busy_replica_really_needs() -> None:
    arrivals = workload([(0.0001, 50, 30)] * 64)
    profile = BatchingProfile(64, 0.01, 100_000, 0.001, 0.0001, 0.0005, 512)
    ends = [at for at, _, is_end in reports(profile.replica(), arrivals) if is_end]
    least_s = sum(map(profile.least_work_s, arrivals))
    assert least_s <= max(ends)
    assert least_s == pytest.approx(max(ends), rel=0.2), "they were packed well, so it is not far below"
    assert max(at - arrival.at for at, arrival in zip(ends, arrivals, strict=True)) <= profile.longest_s(arrivals[0], 0)
