"""Who is late over a changing number of replicas is estimated as the replicas themselves would have it."""

from math import inf

import pytest

from tests.sim.question import ONE_SECOND, ask
from toque.sim.demand import Demand
from toque.sim.profile import Profile
from toque.sim.service import Service, Standing
from toque.sim.slots import SlotsProfile

SLOWER_WHEN_FULL = SlotsProfile(slots=2, base_s=0.0, decode_token_s=0.5, decode_token_s_per_busy_slot=0.5)
"""A further token takes a second alone and 1.5 s beside another request."""


def _service(times: list[float], profile: Profile = ONE_SECOND, output_tokens: int = 1) -> Service:
    question = ask(times, profile=profile, output_tokens=output_tokens)
    return Service(Demand.of(question.arrivals(), profile, question.objective), profile.slots)


def test_who_waits_too_long_is_found_by_serving_first_come_first_served() -> None:
    service = _service([0.0, 0.1, 0.2, 0.3, 0.4])
    assert service.serve(Standing(), 1, 0.0, 100.0) == 2
    assert service.serve(Standing(), 2, 0.0, 100.0) == 0


def test_time_can_be_cut_anywhere() -> None:
    service, standing = _service([0.0, 0.1, 0.2, 0.3, 0.4]), Standing()
    late = [service.serve(standing, 1, begin / 4, (begin + 1) / 4) for begin in range(40)]
    assert sum(late) == 2
    assert (standing.first, standing.judged, standing.ends) == (5, 5, [])


def test_who_can_no_longer_be_in_time_is_late_before_he_is_served() -> None:
    standing = Standing()
    assert _service([0.0, 0.1, 0.2]).serve(standing, 0, 0.0, 2.15) == 2
    assert standing.first == 0


def test_replicas_slow_down_as_they_fill() -> None:
    service, standing = _service([0.0, 0.0], SLOWER_WHEN_FULL, output_tokens=3), Standing()
    service.serve(standing, 2, 0.0, 1.0)
    assert service.left_s(standing, service.waiting(standing, 1.0)) == pytest.approx(2 * 3.0 - 2 * 1.5)
    standing = Standing()
    service.serve(standing, 1, 0.0, 1.0)
    assert service.left_s(standing, service.waiting(standing, 1.0)) == pytest.approx(2 * 3.0 - 2 * 1.0)


def test_replicas_that_go_take_their_share_of_the_requests_along() -> None:
    service, standing = _service([0.0] * 4), Standing()
    service.serve(standing, 4, 0.0, 0.5)
    fewer, drain_s = service.resized(standing, 4, 1)
    assert len(fewer.ends) == 1
    assert drain_s == pytest.approx(0.5)
    assert service.resized(standing, 4, 6)[1] == 0.0
    assert len(standing.ends) == 4


def test_the_most_and_the_least_that_may_make_sense_are_seen_by_bins() -> None:
    demand = _service([0.0, 0.5, 3.0]).demand
    assert list(demand.most_busy(1.0, 5)) == [2, 1, 0, 1, 0]
    assert list(demand.least_load(1.0, 5)) == pytest.approx([1.5, 0.5, 0.0, 1.0, 0.0])
    assert demand.end_s == pytest.approx(6.0)


def test_nobody_is_late_where_everybody_may_wait_for_ever() -> None:
    service = _service([0.0] * 9)
    patient = Service(service.demand.strained(inf), 1)
    assert patient.serve(Standing(), 1, 0.0, 100.0) == 0
