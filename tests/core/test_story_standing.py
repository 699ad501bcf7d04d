"""Stories of a line that refuses for long: it is shortened, and long again when the overload is over (O15)."""

from dataclasses import replace

from tests.core.story import Story, arrival, refusals, routes, starts, warm
from toque.core.snapshot import view_fleet
from toque.model.messages import Finished, SpecChanged
from toque.model.spec import FleetSpec, PoolSpec, QueueSpec, ReplicaBounds
from toque.model.ticket import RefusalReason

QUEUE = QueueSpec(length_max=20, standing_s=10.0, standing_wait_s=4.0)
CHAT = PoolSpec("chat", slots=2, queue=QUEUE)


class Crowded:
    """A pool whose two slots are busy for a second each, with more clients than it can serve."""

    def __init__(self, pool: PoolSpec = CHAT) -> None:
        self.story = warm(pool)
        self.tickets = 0

    def comes(self, now: float, *, batch: bool = False) -> bool:
        """One more request; whether it was taken in."""
        self.tickets += 1
        return not refusals(self.story.at(now, arrival(self.tickets, batch=batch)))

    def serve(self, now: float) -> None:
        """Both answers are complete."""
        in_flight = [ticket for ticket, replica in self.story.ledger.where.items() if replica is not None]
        self.story.at(now, *(Finished(ticket) for ticket in in_flight))

    def refuse_from(self, first: int, last: int) -> None:
        """Each second two are served, and as many come as are needed to be refused."""
        for second in range(first, last + 1):
            self.serve(float(second))
            while self.comes(float(second)):
                pass

    @property
    def waiting(self) -> int:
        return self.story.fleet.pools["chat"].line.length(arrival(0).ticket.service_class)


def told(story: Story) -> str:
    return view_fleet(story.fleet, story.now).pools[0].reason


def test_o15_a_line_that_refuses_for_long_takes_what_is_served_within_four_seconds() -> None:
    crowd = Crowded()
    crowd.refuse_from(1, 10)
    assert (crowd.waiting, told(crowd.story)) == (20, ""), "a burst of nine seconds is waited for"
    crowd.refuse_from(11, 20)
    assert crowd.waiting == 8, "two a second"
    assert told(crowd.story) == "the line was shortened to 8: it refused requests for long"
    crowd.story.check_replay()


def test_a_shortened_line_is_long_again_when_nobody_was_refused_for_five_seconds() -> None:
    crowd = Crowded()
    crowd.refuse_from(1, 20)
    assert not crowd.comes(20.5)
    assert not crowd.comes(25.5), "five seconds later it still is what it was"
    assert [crowd.comes(30.6) for _ in range(13)] == [True] * 12 + [False], "8 wait already"
    assert told(crowd.story) == ""


def test_refusals_far_apart_are_no_overload() -> None:
    crowd = Crowded()
    while crowd.comes(1.0):
        pass
    for second in range(7, 31, 6):
        assert not crowd.comes(float(second))
    assert told(crowd.story) == ""


def test_a_shortened_line_keeps_one_for_each_slot() -> None:
    crowd = Crowded(replace(CHAT, queue=replace(QUEUE, standing_wait_s=0.1)))
    crowd.refuse_from(1, 30)
    assert crowd.waiting == 2


def test_those_who_waited_in_vain_were_refused_too() -> None:
    crowd = Crowded(replace(CHAT, queue=replace(QUEUE, length_max=1000, wait_s_max=3.0, standing_s=5.0)))
    for second in range(1, 20):
        crowd.serve(float(second))
        for _ in range(6):
            crowd.comes(float(second))
    assert told(crowd.story) == "the line was shortened to 6: it refused requests for long", (
        "no longer than one may wait"
    )


def test_batch_and_a_line_that_may_stand_are_never_shortened() -> None:
    for pool, batch in ((CHAT, True), (replace(CHAT, queue=replace(QUEUE, standing_s=0.0)), False)):
        crowd = Crowded(pool)
        for second in range(1, 30):
            while crowd.comes(float(second), batch=batch):
                pass
        assert told(crowd.story) == ""


def test_while_more_replicas_are_on_their_way_the_line_stays_long() -> None:
    story = warm(replace(CHAT, replicas=ReplicaBounds(minimum_warm=1, maximum=4)))
    crowd = Crowded()
    crowd.story = story
    crowd.refuse_from(1, 20)
    ordered = [effect for _, _, effects in story.journal for effect in starts(effects)]
    assert len(ordered) > 1
    assert (crowd.waiting, told(story)) == (20, "")


def test_a_fallback_is_taken_where_a_shortened_line_takes_nobody() -> None:
    crowd = Crowded()
    crowd.story = warm(replace(CHAT, queue=QUEUE), PoolSpec("small", slots=100))
    crowd.refuse_from(1, 20)
    assert crowd.waiting == 8
    assert routes(crowd.story.at(20.0, arrival(10_000, fallbacks=("small",)))) == [(10_000, 2)]


def test_a_reload_says_for_how_long_a_line_may_stand() -> None:
    crowd = Crowded()
    crowd.refuse_from(1, 20)
    endless = replace(CHAT, queue=replace(QUEUE, standing_s=0.0))
    crowd.story.at(21.0, SpecChanged(FleetSpec((endless,), crowd.story.spec.capacity)))
    crowd.story.until(26.0)
    crowd.refuse_from(27, 60)
    assert (crowd.waiting, told(crowd.story)) == (20, "")


def test_other_refusals_shorten_nothing() -> None:
    story = warm(CHAT)
    for second in range(1, 30):
        [(_, reason)] = refusals(story.at(float(second), arrival(second, deadline=float(second))))
        assert reason == RefusalReason.DEADLINE_EXCEEDED
    assert told(story) == ""
