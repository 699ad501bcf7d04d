"""Stories of overload: what the gateway gives up, in which order, and when it takes it back."""

from dataclasses import replace

import pytest

from tests.core.story import Story, arrival, only, refusals, warm
from toque.model.messages import DrainOrdered, EnterStage, PressureMeasured, Refuse, SpecChanged
from toque.model.overload import OverloadSpec, Stage
from toque.model.spec import PoolSpec


@pytest.fixture
def story() -> Story:
    return warm(PoolSpec("chat", slots=100))


def press(
    story: Story, now: float, memory: float = 0.5, lag_s: float = 0.0, files: float = 0.1
) -> list[tuple[int, str]]:
    """Measure, as the shell does: only what matters is told. Return what the stage became, if it changed."""
    story.until(now)
    seen = PressureMeasured(memory, lag_s, files)
    if not story.fleet.gate.ladder.matters(seen, now):
        return []
    return [(change.stage, change.reason) for change in only(story.at(now, seen), EnterStage)]


def told(story: Story) -> int:
    return sum(isinstance(event, PressureMeasured) for _, event, _ in story.journal)


def test_o10_memory_takes_one_thing_after_the_other(story: Story) -> None:
    assert press(story, 1.0, 0.91) == []
    assert press(story, 2.0, 0.92) == [(Stage.NO_KEEP_ALIVE, "memory at 92%")]
    assert refusals(story.at(2.1, arrival(1), arrival(2, batch=True))) == []
    assert press(story, 3.0, 0.95) == [(Stage.SHED_BATCH, "memory at 95%")]
    assert refusals(story.at(3.1, arrival(3), arrival(4, batch=True))) == [(4, "server_is_overloaded")]
    assert press(story, 4.0, 0.96) == [(Stage.SHED_ALL, "memory at 96%")]
    assert refusals(story.at(4.1, arrival(5), arrival(6, batch=True))) == [
        (5, "server_is_overloaded"),
        (6, "server_is_overloaded"),
    ]
    assert press(story, 5.0, 0.97) == [(Stage.STOP_ACCEPTING, "memory at 97%")]
    story.check_replay()


def test_o10_a_jump_goes_straight_to_its_stage(story: Story) -> None:
    assert press(story, 1.0, 0.99) == [(Stage.STOP_ACCEPTING, "memory at 99%")]


def test_o10_a_stage_is_taken_back_after_a_calm_below_the_slack_and_not_before(story: Story) -> None:
    press(story, 1.0, 0.955)
    assert press(story, 2.0, 0.935) == []
    assert press(story, 20.0, 0.935) == []
    assert press(story, 21.0, 0.92) == []
    assert press(story, 25.9, 0.92) == []
    assert press(story, 26.0, 0.92) == [(Stage.NO_KEEP_ALIVE, "memory at 92%")]
    assert press(story, 27.0, 0.5) == []
    assert press(story, 32.0, 0.5) == [(Stage.NORMAL, "")]
    assert refusals(story.at(33.0, arrival(1, batch=True))) == []
    story.check_replay()


def test_o10_a_sawtooth_around_a_limit_does_not_flap(story: Story) -> None:
    changes = [press(story, 1.0 + n / 4, 0.951 if n % 8 else 0.91) for n in range(400)]
    assert [change for change in changes if change] == [[(Stage.SHED_BATCH, "memory at 95%")]]


def test_o11_a_late_loop_sheds_batch_and_a_loop_that_stays_late_everybody(story: Story) -> None:
    assert press(story, 1.0, lag_s=0.25) == []
    assert press(story, 2.0, lag_s=0.3) == [(Stage.SHED_BATCH, "event loop late by 0.30 s")]
    assert press(story, 3.0, lag_s=0.4) == [(Stage.SHED_ALL, "event loop late by 0.40 s")]
    effects = story.at(3.1, arrival(1))
    assert 0.8 <= only(effects, Refuse)[0].retry_after_s <= 1.2
    assert press(story, 3.25) == []
    assert press(story, 4.0) == []
    assert press(story, 4.25) == [(Stage.NORMAL, "")]
    story.check_replay()


def test_o11_a_late_loop_alone_keeps_connections_and_gives_them_up_for_memory_and_open_files(story: Story) -> None:
    def kept(now: float, memory: float = 0.5, lag_s: float = 0.0, files: float = 0.1) -> list[tuple[Stage, bool]]:
        changes = only(story.at(now, PressureMeasured(memory, lag_s, files)), EnterStage)
        return [(change.stage, change.keeps_alive) for change in changes]

    kept(1.0, lag_s=0.4)
    assert kept(1.25, lag_s=0.4) == [(Stage.SHED_ALL, True)]
    assert kept(1.5, lag_s=0.4, memory=0.93) == [(Stage.SHED_ALL, False)], "the stage is the same, and more is given up"
    assert kept(2.0, lag_s=0.4, files=0.95, memory=0.93) == [(Stage.STOP_ACCEPTING, False)]
    kept(10.0, lag_s=0.4)
    assert kept(15.0, lag_s=0.4) == [(Stage.SHED_ALL, True)], "memory has calmed down, the loop has not"
    story.check_replay()


def test_o12_open_files_stop_everything_new_and_are_forgiven_within_half_a_second(story: Story) -> None:
    assert press(story, 1.0, files=0.9) == [(Stage.STOP_ACCEPTING, "open files at 90%")]
    assert refusals(story.at(1.1, arrival(1))) == [(1, "server_is_overloaded")]
    assert press(story, 1.25, files=0.88) == []
    assert press(story, 1.5, files=0.3) == []
    assert press(story, 1.75, files=0.3) == [(Stage.NORMAL, "")]


def test_the_worst_pressure_counts_and_is_named(story: Story) -> None:
    press(story, 1.0, memory=0.93)
    assert press(story, 2.0, memory=0.93, files=0.95) == [(Stage.STOP_ACCEPTING, "open files at 95%")]
    press(story, 2.25, memory=0.93)
    assert press(story, 2.5, memory=0.93) == [(Stage.NO_KEEP_ALIVE, "memory at 93%")]


def test_samples_that_change_nothing_are_not_told(story: Story) -> None:
    for n in range(1000):
        press(story, 1.0 + n / 4, memory=0.3 + n % 10 / 20)
    assert told(story) == 0
    for n in range(1000):
        press(story, 300.0 + n / 4, memory=0.98)
    assert told(story) == 1


def test_other_limits_are_tried_with_the_next_sample(story: Story) -> None:
    press(story, 1.0, memory=0.98)
    spec = replace(story.spec, overload=OverloadSpec(accept_ratio=0.999, shed_all_ratio=0.99))
    assert only(story.at(2.0, SpecChanged(spec)), EnterStage) == [EnterStage(Stage.NORMAL, "", keeps_alive=True)]
    assert press(story, 2.25, memory=0.98) == [(Stage.SHED_BATCH, "memory at 98%")]
    story.check_replay()


def test_a_service_that_ends_says_so_also_under_pressure(story: Story) -> None:
    press(story, 1.0, memory=0.98)
    story.at(2.0, DrainOrdered())
    assert refusals(story.at(3.0, arrival(1))) == [(1, "draining")]
    press(story, 4.0)
    press(story, 10.0)
    assert refusals(story.at(11.0, arrival(2))) == [(2, "draining")]
