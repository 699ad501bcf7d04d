"""How slots are divided: nothing is lost, people first, and the same chance whichever gateway somebody came to."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from toque.core.shares import MANY, Need, share_out


def need(people: int = 0, batch: int = 0, since: float = inf, held: int = 0) -> Need:
    return Need(people, batch, since, held)


needs = st.lists(
    st.builds(
        Need,
        st.integers(0, 40),
        st.integers(0, 40),
        st.sampled_from([inf, 0.0, 1.0, 2.0, 3.0]),
        st.integers(0, 10),
    ),
    min_size=1,
    max_size=8,
)


@given(st.integers(0, 60), needs)
def test_the_parts_are_all_there_is_and_people_come_first(total: int, told: list[Need]) -> None:
    parts = share_out(total, told)
    assert sum(parts) == total
    assert min(parts) >= 0
    people = sum(need.people for need in told)
    for part, need_ in zip(parts, told, strict=True):
        if people <= total:
            assert part >= need_.people
        else:
            assert abs(part - total * need_.people / people) < 1 + (total >= MANY * len(told))


def test_nobody_to_share_with_is_no_error() -> None:
    assert share_out(4, []) == []


def test_without_demand_everybody_has_as_many() -> None:
    assert share_out(8, [need(), need(), need(), need()]) == [2, 2, 2, 2]


def test_who_has_ninety_percent_of_the_people_gets_ninety_percent_of_too_few_slots() -> None:
    assert share_out(20, [need(90), need(5), need(5)]) == [18, 1, 1]


def test_a_lone_request_gets_the_odd_slot_once_it_has_waited_longest() -> None:
    busy, lone = need(30, since=5.0), need(1, since=6.0)
    assert share_out(2, [busy, lone]) == [2, 0]
    assert share_out(2, [need(30, since=7.0), lone]) == [1, 1]


def test_batch_takes_what_people_leave_but_not_the_slot_of_whoever_comes_next() -> None:
    assert share_out(8, [need(2), need(batch=100)]) == [3, 5]
    assert share_out(2, [need(1), need(batch=100, held=1)]) == [1, 1]


def test_what_nobody_needs_stays_where_it_is_as_far_as_that_is_even() -> None:
    assert share_out(1, [need(held=0), need(held=1)]) == [0, 1]
    assert share_out(3, [need(held=0), need(held=3), need(held=0)]) == [1, 1, 1]


def test_where_slots_are_many_a_quiet_gateway_keeps_one_when_all_others_have_too_few() -> None:
    assert share_out(48, [need(100), need(0), need(1)]) == [46, 1, 1]
    assert share_out(47, [need(100), need(0), need(0)]) == [47, 0, 0]
