"""Who leads: stories of candidates around one record, with a clock that the story moves."""

from dataclasses import dataclass, field
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toque.model.cluster import Claim
from toque.model.cluster_spec import ClusterSpec
from toque.operator.election import Ask, Election

SPEC = ClusterSpec()
"""10 s of lease, 7 s to renew, every 2 s."""


@dataclass
class Cluster:
    """The record, and whether anybody reaches it."""

    claim: Claim | None = None
    writes: int = 0
    is_away: bool = False

    def look(self) -> Claim | None:
        return self.claim

    def write(self, holder: str, seen: Claim | None) -> str | None:
        """None: it was not as it was seen."""
        if seen != self.claim:
            return None
        self.writes += 1
        self.claim = Claim(holder, SPEC.lease_s, str(self.writes))
        return self.claim.mark


@dataclass
class Play:
    """Candidates on one clock; each does what its election asks, when it asks."""

    cluster: Cluster = field(default_factory=Cluster)
    now: float = 100.0
    candidates: dict[str, Election] = field(default_factory=dict)
    asleep: set[str] = field(default_factory=set)
    cut_off: set[str] = field(default_factory=set)

    def enter(self, *names: str) -> "Play":
        for name in names:
            self.candidates[name] = Election(name, SPEC, self.now)
        return self.run(0.0)

    def run(self, seconds: float) -> "Play":
        end = self.now + seconds
        while True:
            awake = [one for name, one in self.candidates.items() if name not in self.asleep]
            at = min((one.next_at for one in awake), default=inf)
            if at > end:
                self.now = end
                return self
            self.now = max(self.now, at)
            for one in awake:
                while one.next_at <= self.now:
                    self._do(one, one.wake(self.now))
            assert len(self.leaders) <= 1

    def _do(self, one: Election, ask: Ask | None) -> None:
        if ask is None:
            return
        if self.cluster.is_away or one.name in self.cut_off:
            one.unanswered("away", self.now)
        elif ask is Ask.LOOK:
            one.heard(self.cluster.look(), self.now)
        elif (mark := self.cluster.write(one.name, one.claim)) is None:
            one.outrun(self.now)
        else:
            one.written(mark, self.now, self.now)

    @property
    def leaders(self) -> list[str]:
        """Whoever would decide now: one that sleeps cannot, and would find out before it did."""
        return [
            name
            for name, one in self.candidates.items()
            if one.is_leading and self.now < one.until and name not in self.asleep
        ]


def test_the_first_one_leads_and_the_second_stands_ready() -> None:
    play = Play().enter("a", "b").run(60)
    assert play.leaders == ["a"]
    assert play.candidates["b"].holder == "a"


def test_who_leads_renews_and_costs_one_call_each_two_seconds() -> None:
    play = Play().enter("a").run(60)
    assert 29 <= play.cluster.writes <= 32


def test_when_the_leader_is_killed_another_leads_within_twelve_seconds() -> None:
    for killed_after_s in (0.0, 0.7, 1.3, 1.999):
        play = Play().enter("a", "b", "c").run(20 + killed_after_s)
        play.asleep.add("a")
        killed_at = play.now
        while not play.leaders:
            play.run(0.1)
        assert play.now - killed_at <= SPEC.lease_s + SPEC.renew_s + 0.2


def test_a_leader_that_gives_the_record_back_is_followed_at_the_next_look() -> None:
    play = Play().enter("a", "b").run(20)
    play.candidates.pop("a").resign()
    play.cluster.write("", play.cluster.claim)
    assert play.run(2.1).leaders == ["b"]


def test_a_leader_that_cannot_renew_stops_before_anybody_else_may_begin() -> None:
    play = Play().enter("a", "b").run(20)
    play.cut_off.add("a")
    play.run(7.1)
    assert play.leaders == []
    assert play.run(1.9).leaders == []
    assert play.run(3).leaders == ["b"]


def test_when_the_api_server_is_away_nobody_leads_and_one_does_when_it_is_back() -> None:
    play = Play().enter("a", "b").run(20)
    play.cluster.is_away = True
    assert play.run(120).leaders == []
    assert play.candidates["a"].trouble == "away"
    play.cluster.is_away = False
    assert play.run(3).leaders == ["a"], "the record is still its own, so nobody had to wait"
    assert play.candidates["a"].trouble == ""


def test_a_short_absence_of_the_api_server_changes_nothing() -> None:
    play = Play().enter("a", "b").run(20)
    play.cluster.is_away = True
    assert play.run(4).leaders == ["a"]
    play.cluster.is_away = False
    assert play.run(60).leaders == ["a"]


def test_a_leader_that_slept_through_its_time_finds_out_before_it_asks_anything() -> None:
    play = Play().enter("a", "b").run(20)
    play.asleep.add("a")
    play.run(30)
    assert play.leaders == ["b"]
    sleeper = play.candidates["a"]
    assert sleeper.wake(play.now) is Ask.LOOK
    assert not sleeper.is_leading
    play.asleep.clear()
    assert play.run(30).leaders == ["b"]


def test_an_answer_that_came_too_late_makes_nobody_a_leader() -> None:
    one = Election("a", SPEC, 0.0)
    one.heard(None, 0.0)
    assert one.wake(0.0) is Ask.WRITE
    one.written("1", 0.0, 7.0)
    assert not one.is_leading


def test_a_writing_whose_answer_was_lost_is_found_to_be_ours() -> None:
    play = Play().enter("a")
    one = play.candidates["a"]
    play.run(20)
    play.now = one.next_at
    assert one.wake(play.now) is Ask.WRITE
    play.cluster.write("a", one.claim)
    one.unanswered("lost", play.now)
    assert play.run(10).leaders == ["a"]


def test_a_record_that_is_given_to_another_by_hand_is_obeyed() -> None:
    play = Play().enter("a", "b").run(20)
    play.cluster.write("b", play.cluster.claim)
    play.run(2.1)
    assert play.leaders == ["b"]


def test_a_record_that_was_deleted_is_made_again() -> None:
    play = Play().enter("a", "b").run(20)
    play.cluster.claim = None
    assert len(play.run(13).leaders) == 1


def test_of_two_who_take_it_at_once_one_is_outrun() -> None:
    cluster = Cluster()
    one, two = Election("a", SPEC, 0.0), Election("b", SPEC, 0.0)
    for candidate in (one, two):
        candidate.heard(cluster.look(), 0.0)
        assert candidate.wake(0.0) is Ask.WRITE
    one.written(cluster.write("a", one.claim) or "", 0.0, 0.0)
    assert cluster.write("b", two.claim) is None
    two.outrun(0.0)
    assert two.wake(0.0) is Ask.LOOK
    two.heard(cluster.look(), 0.0)
    assert two.wake(0.0) is None


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["cut", "heal", "sleep", "rouse", "away", "back"]), st.sampled_from("abc"), st.floats(0, 15)
    ),
    max_size=25,
)


@given(_STEPS)
@settings(max_examples=200, deadline=None)
@pytest.mark.slow
def test_whatever_happens_two_never_lead_at_once_and_one_does_in_the_end(steps: list[tuple[str, str, float]]) -> None:
    play = Play().enter("a", "b", "c")
    for what, who, seconds in steps:
        match what:
            case "cut":
                play.cut_off.add(who)
            case "heal":
                play.cut_off.discard(who)
            case "sleep":
                play.asleep.add(who)
            case "rouse":
                play.asleep.discard(who)
            case "away":
                play.cluster.is_away = True
            case _:
                play.cluster.is_away = False
        play.run(seconds)
    play.cut_off.clear()
    play.asleep.clear()
    play.cluster.is_away = False
    assert len(play.run(30).leaders) == 1
