"""Hedging in virtual time: what a second replica is worth beside replicas that hang now and then, and what it costs."""

import random
from dataclasses import dataclass, replace

import pytest

from toque.model.messages import Dispatch, Effect, Event, Hedge, ReplicaFailed
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec, ReplicaBounds, RetrySpec, ScalingSpec
from toque.model.ticket import ServiceClass
from toque.model.trust_spec import EjectionSpec, HedgeSpec
from toque.sim.arrival import Arrival
from toque.sim.cold_start import constant
from toque.sim.engine import Request, Scenario, Simulation
from toque.sim.faults import Faults
from toque.sim.slots import SlotsProfile

REPLICAS, SLOTS = 4, 4
PROFILE = SlotsProfile(slots=SLOTS, base_s=0.2, decode_token_s=0.02)
POOL = PoolSpec(
    "chat",
    slots=SLOTS,
    replicas=ReplicaBounds(minimum_warm=REPLICAS, maximum=REPLICAS),
    scaling=ScalingSpec("fixed"),
    ejection=EjectionSpec(slow_factor=0.0),
)
HEDGED = replace(POOL, hedge=HedgeSpec(enabled=True))
HANGS = Faults(hang_every_s=60.0, hang_s=3.0)
"""A collector's pause, a long prompt of somebody else, a disk."""
LASTS_S = 900.0


@dataclass
class Outcome:
    """What a run came to. Times are seconds from arrival to the whole answer."""

    took_s: list[float]
    dispatched: int = 0
    hedged: int = 0
    died: int = 0
    refused: int = 0

    def step(self, now: float, event: Event, effects: list[Effect]) -> None:
        self.dispatched += sum(isinstance(effect, Dispatch) for effect in effects)
        self.hedged += sum(isinstance(effect, Hedge) for effect in effects)
        self.died += isinstance(event, ReplicaFailed)

    def ended(self, request: Request, now: float) -> None:
        self.refused += bool(request.refused)
        self.took_s.append(now - request.arrival.at)

    def quantile(self, share: float) -> float:
        return sorted(self.took_s)[int(share * len(self.took_s))]

    @property
    def extra(self) -> float:
        """Second attempts a request."""
        return self.hedged / self.dispatched


def traffic(utilization: float, *, is_whole: bool = True) -> list[Arrival]:
    """Answers of 20 tokens, 0.6 s each, at random instants."""
    chance, at, arrivals = random.Random(6), 0.0, []
    rate = utilization * REPLICAS * SLOTS / 0.58
    while (at := at + chance.expovariate(rate)) < LASTS_S:
        arrivals.append(Arrival(at, 10, 20, "", ServiceClass.INTERACTIVE, is_whole=is_whole))
    return arrivals


def outcome(pool: PoolSpec, arrivals: list[Arrival], faults: Faults = HANGS) -> Outcome:
    watched = Outcome([])
    fleet = FleetSpec((pool,), Resources())
    Simulation(Scenario(fleet, arrivals, PROFILE.replica, constant(0.0), faults=faults), [watched]).run()
    return watched


def test_a_second_replica_cuts_the_tail_that_hangs_make_for_a_few_requests_asked_twice() -> None:
    arrivals = traffic(0.3)
    alone, hedged = outcome(POOL, arrivals), outcome(HEDGED, arrivals)
    assert alone.quantile(0.99) == pytest.approx(3.5, abs=0.1), "a hang and the answer"
    assert hedged.quantile(0.99) == pytest.approx(1.2, abs=0.1), "the usual time twice"
    assert hedged.quantile(0.5) == pytest.approx(alone.quantile(0.5))
    assert 0.03 < hedged.extra < 0.08, "one in twenty takes longer than 95 % do"
    assert alone.refused == hedged.refused == 0


@pytest.mark.slow
def test_where_slots_are_short_nothing_is_asked_twice_and_nothing_is_won() -> None:
    arrivals = traffic(0.9)
    alone, hedged = outcome(POOL, arrivals), outcome(HEDGED, arrivals)
    assert hedged.extra < 0.01
    assert hedged.quantile(0.99) == pytest.approx(alone.quantile(0.99), rel=0.1)


def test_streams_are_never_asked_twice() -> None:
    assert outcome(HEDGED, traffic(0.3, is_whole=False)[:500]).hedged == 0


def test_a_hedged_request_outlives_either_of_its_replicas() -> None:
    deaths = Faults(lifetime_s=20.0, hang_every_s=5.0, hang_s=3.0)
    run = outcome(replace(HEDGED, retry=RetrySpec(attempts_max=5, budget_min=1000)), traffic(0.3)[:3000], deaths)
    assert run.hedged > 50
    assert run.died > 10
    assert (len(run.took_s), run.refused) == (3000, 0)
