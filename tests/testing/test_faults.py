"""What faults do to bytes, without a socket."""

from dataclasses import replace

import pytest

from toque.testing import At, Corrupt, Cut, Faults, Kill, Seeded, Slow, Split, Stop
from toque.testing.faults import Fault, Passage, Rest, Step

TEXT = b"HTTP/1.1 200 OK\r\n\r\ndata: a\n\ndata: b\n\ndata: c\n\n"


def steps(*faults: Fault, reads: list[bytes] | None = None) -> list[Step]:
    passage, taken = Passage(faults), list[Step]()
    for read in [b"", *(reads or [TEXT])]:
        for step in passage.steps(read):
            taken.append(step)
            if isinstance(step, Stop | Cut | Kill):
                return taken
    return taken


def sent(*faults: Fault, reads: list[bytes] | None = None) -> bytes:
    return b"".join(step for step in steps(*faults, reads=reads) if isinstance(step, bytes))


def test_without_faults_all_passes_as_it_comes() -> None:
    assert steps() == [TEXT]


@pytest.mark.parametrize("end", [Stop, Cut, Kill])
def test_an_end_lets_pass_exactly_what_comes_before_it(end: type[Stop | Cut | Kill]) -> None:
    fault = end(At(17))
    assert steps(fault) == [TEXT[:17], fault]
    assert steps(end()) == [end()]


@pytest.mark.parametrize("size", [1, 2, 5, 7, len(TEXT)])
def test_a_mark_is_found_however_the_bytes_were_split(size: int) -> None:
    reads = [TEXT[start : start + size] for start in range(0, len(TEXT), size)]
    assert sent(Cut(At(1, b"data: ", times=2)), reads=reads) == TEXT[: TEXT.index(b"b") + 1]


def test_a_byte_is_corrupted_and_no_other() -> None:
    assert sent(Corrupt(At(3))) == TEXT[:3] + bytes([TEXT[3] ^ 0xFF]) + TEXT[4:]
    assert sent(Corrupt(At(0, b"data: "), mask=1)) == TEXT.replace(b"data: a", b"data: `")


def test_a_split_sends_every_byte_by_itself_from_its_place_on() -> None:
    split = [step for step in steps(Split(at=At(2)), reads=[b"abcd"]) if isinstance(step, bytes)]
    assert split == [b"ab", b"c", b"d"]


def test_a_slow_connection_rests_as_long_as_its_rate_says() -> None:
    slow = steps(Slow(1000.0), reads=[b"x" * 500])
    assert sum(step.duration_s for step in slow if isinstance(step, Rest)) == pytest.approx(0.5)
    assert max(len(step) for step in slow if isinstance(step, bytes)) == 20


def test_several_faults_happen_each_in_its_place() -> None:
    assert sent(Corrupt(At(1), mask=1), Split(at=At(2)), Cut(At(4)), reads=[b"abcdef"]) == b"accd"


def test_a_seeded_plan_is_the_same_again_and_as_frequent_as_asked() -> None:
    plan = Seeded(7, ratio=0.3, faults=(Kill(), Stop()), bytes_max=100)
    drawn = [plan(number) for number in range(1000)]
    assert drawn == [plan(number) for number in range(1000)]
    assert drawn != [replace(plan, seed=8)(number) for number in range(1000)]
    assert 250 < sum(faults != Faults() for faults in drawn) < 350
