"""The order inside a class, and who makes way when the line is full."""

from collections import Counter
from itertools import count
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from toque.core.class_line import ClassLine
from toque.core.crowd import Crowd
from toque.core.journey import Journey
from toque.model.spec import QueueSpec
from toque.model.ticket import Ticket

IDS = count(1)
SPEC = QueueSpec(ageing_s=10.0, low_priority_share_ratio=0.05)


def journey(priority: int = 3, tenant: str = "", at: float = 0.0, share: float = 1.0) -> Journey:
    made = Journey(Ticket(next(IDS), "chat", inf, tenant=tenant, priority=priority, share=share), at)
    made.cost_tokens = 100
    return made


def join(line: ClassLine, *journeys: Journey) -> None:
    for one in journeys:
        line.join(one)


def test_lower_numbers_go_first_and_equal_ones_in_order() -> None:
    line = ClassLine()
    last, usual, later, first = journey(7), journey(3), journey(3), journey(0)
    join(line, last, usual, later, first)
    assert [line.take(SPEC, 1.0) for _ in range(4)] == [first, usual, later, last]


def test_who_is_back_goes_before_every_priority_and_is_charged_once() -> None:
    line = ClassLine()
    back = journey(7)
    join(line, back, journey(0))
    line.leave(back)
    line.rejoin(back)
    assert line.take(SPEC, 0.0) is back
    assert back.charged_to is None, "it was never taken in its turn"


def test_o06_the_lowest_priority_gets_its_share_once_it_has_aged() -> None:
    line = ClassLine()
    join(line, *(journey(7) for _ in range(50)))
    join(line, *(journey(0, at=9.0) for _ in range(1000)))
    young = Counter(line.take(SPEC, 9.9).ticket.priority for _ in range(100))
    aged = Counter(line.take(SPEC, 10.0).ticket.priority for _ in range(400))
    assert young == {0: 100}
    assert aged == {0: 380, 7: 20}


@given(st.lists(st.integers(0, 7), min_size=1, max_size=30))
def test_o06_nobody_starves_whatever_keeps_coming(priorities: list[int]) -> None:
    line = ClassLine()
    waiting = {one.ticket.id for one in (journey(priority) for priority in priorities) if not line.join(one)}
    now = 10.0
    for _ in range(25 * len(priorities)):
        line.join(journey(0, at=now))
        waiting.discard(line.take(SPEC, now).ticket.id)
        now += 1.0
    assert not waiting


def test_a_share_of_nothing_lets_low_priorities_wait() -> None:
    line = ClassLine()
    join(line, journey(7), *(journey(0) for _ in range(100)))
    spec = QueueSpec(ageing_s=0.0, low_priority_share_ratio=0.0)
    assert {line.take(spec, 99.0).ticket.priority for _ in range(100)} == {0}


# ---- who makes way ---------------------------------------------------------------------------------------------------


def test_the_newest_of_the_tenant_with_most_waiting_makes_way() -> None:
    line = ClassLine()
    loud = [journey(3, "loud"), journey(5, "loud"), journey(4, "loud")]
    join(line, journey(3, "calm"), *loud)
    assert line.displace(journey(3, "new").ticket) is loud[1], "of the lowest priority it has"
    assert line.displace(journey(3, "new").ticket) is loud[2]
    assert line.displace(journey(3, "new").ticket) is None, "loud has one like everybody"
    assert list(line.waiting) == [next(iter(line.waiting)), loud[0].ticket.id]


def test_nobody_makes_way_for_a_tenant_that_would_have_no_fewer() -> None:
    line = ClassLine()
    join(line, *(journey(3, "loud") for _ in range(3)), *(journey(3, "other") for _ in range(2)))
    assert line.displace(journey(3, "other").ticket) is None
    assert line.displace(journey(3, "loud").ticket) is None
    assert line.displace(journey(3, "loud", share=3.0).ticket) is None, "nor for itself at a better share"
    assert line.is_crowded_by("loud")
    assert not line.is_crowded_by("other")


def test_room_in_the_line_goes_by_shares() -> None:
    line = ClassLine()
    join(line, *(journey(3, "large", share=4.0) for _ in range(4)), *(journey(3, "small") for _ in range(2)))
    displaced = line.displace(journey(3, "new", share=2.0).ticket)
    assert displaced is not None
    assert displaced.ticket.tenant == "small"


def test_alone_nobody_crowds() -> None:
    line = ClassLine()
    join(line, journey(), journey())
    assert not line.is_crowded_by("")
    assert line.displace(journey().ticket) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=300))
def test_the_largest_tenant_is_known_and_entries_do_not_pile_up(steps: list[tuple[str, bool]]) -> None:
    crowd, counts = Crowd(), Counter[str]()
    for tenant, is_more in steps:
        ticket = Ticket(1, "chat", inf, tenant=tenant)
        if is_more:
            crowd.add(ticket)
            counts[tenant] += 1
        elif counts[tenant]:
            crowd.remove(ticket)
            counts[tenant] -= 1
        counts = +counts
        most = max(counts.values(), default=0)
        largest = crowd.largest_above(0.0)
        assert (counts[largest] == most) if most > 1 and largest else largest is None
        assert crowd.largest_above(most) is None
        assert (crowd.count(tenant), crowd.tenants) == (counts[tenant], len(counts))
        assert len(crowd._entries) <= 2 * counts.total() + 65


def test_entries_of_those_who_left_are_dropped() -> None:
    crowd = Crowd()
    tickets = [Ticket(number, "chat", inf, tenant=str(number // 2)) for number in range(1000)]
    for ticket in tickets:
        crowd.add(ticket)
    for ticket in tickets[:-2]:
        crowd.remove(ticket)
    assert len(crowd._entries) <= 68
    assert crowd.largest_above(1.0) == "499"
