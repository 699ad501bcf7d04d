"""The classic demonstration of a rate autoscaler, with what happened in it, in order.

Law: it is an ordinary scenario in the ordinary core; only its scaler is asked in the calm too, so that the story has an end.
"""

from dataclasses import dataclass

from toque.core.scaling.rate import Rate
from toque.model.decision import Decision
from toque.model.messages import Arrived, Effect, Event, RecordDecision, ReplicaReady, StopReplica
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec, ReplicaBounds, ScalingSpec
from toque.sim.cold_start import constant
from toque.sim.engine import Request, Scenario, Simulation
from toque.sim.measure import Measures
from toque.sim.objective import Objective
from toque.sim.slots import SlotsProfile
from toque.sim.workload.synthetic import bursts

INTERVAL_S = 5.0
TARGET_PER_S = 10.0
END_S = 20.0
BURST = 50
_POLICY = "rate, asked always"


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the story; `verdict` is the autoscaler's, empty where it did not speak."""

    at: float
    text: str
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """All lines, and what the run is judged by."""

    lines: list[Told]
    measures: Measures


def demonstration() -> Story:
    """Run it."""
    pool = PoolSpec(
        "demonstration",
        replicas=ReplicaBounds(minimum_warm=1, maximum=4, scale_down_delay_s=0.0),
        scaling=ScalingSpec(_POLICY, TARGET_PER_S, INTERVAL_S, stable_window_s=INTERVAL_S),
    )
    teller, measures = _Teller(), Measures(Objective(), 1)
    scenario = Scenario(
        FleetSpec((pool,), Resources()),
        bursts(),
        SlotsProfile(1, base_s=0.05).replica,
        constant(0.1),
        policies={_POLICY: _Watchful},
        initial=1,
    )
    Simulation(scenario, [teller, measures]).run(until=END_S)
    measures.close()
    return Story(teller.lines, measures)


class _Watchful(Rate):
    """The rate rule, asked in a calm too."""

    foresees = True


class _Teller:
    """Writes the story down."""

    def __init__(self) -> None:
        self.lines: list[Told] = []
        self._arrived = 0

    def step(self, now: float, event: Event, effects: list[Effect]) -> None:
        """Tell what matters of a step."""
        match event:
            case Arrived():
                self._arrive(now)
            case ReplicaReady(replica_id) if now:
                self.lines.append(Told(now, f"replica {replica_id} is ready"))
            case _:
                pass
        for effect in effects:
            if isinstance(effect, RecordDecision):
                self.lines.append(_decided(now, effect.decision))
            elif isinstance(effect, StopReplica):
                self.lines.append(Told(now, f"replica {effect.replica_id} stops"))

    def ended(self, request: Request, now: float) -> None:
        """Requests are told as bursts, not one by one."""

    def _arrive(self, now: float) -> None:
        self._arrived += 1
        if self._arrived == 1:
            self.lines.append(Told(now, "the first burst begins: 50 requests, 10 to 50 ms apart"))
        elif self._arrived == BURST:
            self.lines.append(Told(now, "the first burst is over; five more requests follow, 500 ms apart"))
        elif self._arrived == BURST + 5:
            self.lines.append(Told(now, "the last request arrives"))


def _decided(now: float, decision: Decision) -> Told:
    rate = decision.observation.arrivals_per_s
    change = decision.after - decision.before
    verdict = "scaling up" if change > 0 else "scaling down" if change < 0 else "stable"
    size = f"{decision.before} -> {decision.after} replicas" if change else f"replicas: {decision.after}"
    per_replica = rate / max(1, decision.before)
    text = f"rate {rate:.1f}/s, {per_replica:.1f}/s per replica, target {TARGET_PER_S:g}/s: {verdict}, {size}"
    return Told(now, text, verdict)
