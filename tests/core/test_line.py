"""The waiting line against a naive one, and its bounds."""

from itertools import count
from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from toque.core.journey import Journey
from toque.core.queue import Line
from toque.model.spec import QueueSpec
from toque.model.ticket import ServiceClass, Ticket

INTERACTIVE, BATCH = ServiceClass.INTERACTIVE, ServiceClass.BATCH
CLASSES = st.sampled_from(ServiceClass)


def journey(
    ticket_id: int, service_class: ServiceClass = INTERACTIVE, now: float = 0.0, wait_s: float = inf
) -> Journey:
    made = Journey(Ticket(ticket_id, "chat", inf, service_class), now)
    made.due_at = now + wait_s
    return made


class LineMachine(RuleBasedStateMachine):
    """Two plain lists are the model; batch is young (never aged) or its share is zero, so interactive always leads."""

    @initialize(length_max=st.integers(0, 5))
    def open(self, length_max: int) -> None:
        self.line = Line(QueueSpec(length_max=length_max, ageing_s=0.0, batch_share_ratio=0.0))
        self.length_max = length_max
        self.model: dict[ServiceClass, list[Journey]] = {INTERACTIVE: [], BATCH: []}
        self.now = 0.0
        self.ids = count()
        self.taken: list[Journey] = []

    def everyone(self) -> list[Journey]:
        return self.model[INTERACTIVE] + self.model[BATCH]

    @rule(service_class=CLASSES, wait_s=st.sampled_from([1.0, 5.0, 30.0]))
    def join(self, service_class: ServiceClass, wait_s: float) -> None:
        waiting = self.model[service_class]
        assert self.line.is_full(service_class) == (len(waiting) >= self.length_max)
        newcomer = journey(next(self.ids), service_class, self.now, wait_s)
        self.line.join(newcomer)
        waiting.append(newcomer)

    @precondition(lambda self: self.line)
    @rule()
    def take(self) -> None:
        expected = (self.model[INTERACTIVE] or self.model[BATCH]).pop(0)
        assert self.line.take(self.now) is expected
        self.taken.append(expected)

    @precondition(lambda self: self.taken)
    @rule(wait_s=st.sampled_from([0.5, 5.0, 60.0]))
    def rejoin(self, wait_s: float) -> None:
        back = self.taken.pop(0)
        back.due_at = self.now + wait_s
        self.line.rejoin(back)
        self.model[back.ticket.service_class].insert(0, back)

    @precondition(lambda self: self.line)
    @rule(choose=st.data())
    def leave(self, choose: st.DataObject) -> None:
        who = choose.draw(st.sampled_from(self.everyone()))
        self.line.leave(who)
        self.model[who.ticket.service_class].remove(who)

    @rule(jump_s=st.sampled_from([0.0, 0.5, 3.0, 40.0]))
    def expire(self, jump_s: float) -> None:
        self.now += jump_s
        late = sorted((who.due_at, who.ticket.id) for who in self.everyone() if who.due_at <= self.now)
        told = self.line.due(self.now)
        assert [who.ticket.id for who in told] == [ticket_id for _, ticket_id in late]
        for who in told:
            if who.ticket.id % 2:
                self.line.leave(who)
                self.model[who.ticket.service_class].remove(who)
            else:
                self.line.stay(who, self.now + 2.0)

    @rule()
    def empty(self) -> None:
        assert self.line.empty() == self.everyone()
        self.model = {INTERACTIVE: [], BATCH: []}

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "line"):
            return
        assert self.line.waiting() == self.everyone()
        assert len(self.line) == len(self.everyone())
        assert self.line.length(BATCH) == len(self.model[BATCH])
        assert self.line.next_deadline() == min((who.due_at for who in self.everyone()), default=inf)
        for service_class, waiting in self.model.items():
            oldest_s = self.now - waiting[0].arrived_at if waiting else 0.0
            assert self.line.oldest_wait_s(service_class, self.now) == oldest_s
        assert self.line.is_first(INTERACTIVE) == (not self.model[INTERACTIVE])
        assert self.line.is_first(BATCH) == (not self.everyone())


LineMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)

TestLine = LineMachine.TestCase


@given(share=st.sampled_from([0.05, 0.1, 0.25, 0.5]), turns=st.integers(1, 300))
def test_o06_aged_batch_gets_exactly_its_share_while_both_wait(share: float, turns: int) -> None:
    line = Line(QueueSpec(ageing_s=10.0, batch_share_ratio=share))
    for ticket in range(turns):
        line.join(journey(ticket, INTERACTIVE))
        line.join(journey(1000 + ticket, BATCH))
    served = [line.take(10.0).ticket for _ in range(turns)]
    batch = [ticket.id for ticket in served if ticket.service_class is BATCH]
    assert len(batch) == int(turns * share + 1e-9)
    assert batch == sorted(batch)


def test_o04_the_wait_of_interactive_does_not_depend_on_the_depth_of_batch() -> None:
    line = Line(QueueSpec(length_max=100_000, batch_share_ratio=0.05))
    for ticket in range(10_000):
        line.join(journey(ticket, BATCH))
    line.join(journey(50_000, INTERACTIVE, now=1000.0))
    served = [line.take(1000.0).ticket.id for _ in range(2)]
    assert 50_000 in served


def test_the_deadline_of_a_first_wait_does_not_end_a_second() -> None:
    line = Line(QueueSpec())
    other, who = journey(1, wait_s=5.0), journey(2, wait_s=5.0)
    line.join(other)
    line.join(who)
    line.leave(who)  # its first deadline stays behind the other's
    who.due_at = 20.0
    line.rejoin(who)
    assert line.due(5.0) == [other]
    line.leave(other)
    assert line.waiting() == [who]
    assert line.next_deadline() == 20.0


def test_who_left_and_came_back_at_the_same_instant_is_due_once() -> None:
    line = Line(QueueSpec())
    who = journey(1, wait_s=5.0)
    line.join(journey(2, wait_s=1.0))
    line.join(who)
    line.leave(who)
    line.rejoin(who)
    assert [late.ticket.id for late in line.due(5.0)] == [2, 1]


def test_deadlines_of_those_who_left_are_forgotten() -> None:
    line = Line(QueueSpec())
    line.join(journey(0, wait_s=1.0))
    for ticket in range(1, 2000):
        passing = journey(ticket, wait_s=1000.0)
        line.join(passing)
        line.leave(passing)
    assert len(line._deadlines) <= 2 * len(line) + 64
    assert line.next_deadline() == 1.0


def test_who_rests_beside_the_line_is_looked_at_when_that_is_due_and_then_stands_at_its_front() -> None:
    line = Line(QueueSpec())
    first, rested = journey(1, wait_s=100.0), journey(2, wait_s=50.0)
    line.join(first)
    line.rest(rested, 5.0)
    assert (len(line), line.next_deadline(), line.waiting()) == (1, 5.0, [first, rested])
    line.stay(rested, 3.0)
    assert line.next_deadline() == 3.0
    assert line.due(3.0) == [rested]
    assert line.take(3.0) is rested


def test_nobody_makes_way_in_a_line_that_is_longer_than_it_may_be() -> None:
    line = Line(QueueSpec(length_max=9))
    for ticket in range(4):
        line.join(journey(ticket))
    newcomer = Ticket(9, "chat", inf, tenant="another")
    line.shortened = 3
    assert line.make_room(newcomer) == []
    line.shortened = 4
    assert [displaced.ticket.id for displaced in line.make_room(newcomer)] == [3]
