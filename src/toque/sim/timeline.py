"""A run over time: replicas, load and queue wait in a few hundred bins, and the decisions around one instant.

Law: memory is constant, whatever the length of the run: where there would be too many bins, neighbours are merged. Averages
are exact over a bin, peaks are true peaks.
"""

from collections import deque
from dataclasses import dataclass

from toque.model.decision import Decision
from toque.model.messages import (
    Arrived,
    Dispatch,
    Effect,
    Event,
    Failed,
    Preempt,
    RecordDecision,
    ReplicaFailed,
    ReplicaReady,
    ReplicaStopped,
    StartReplica,
)
from toque.sim.engine import Request

BINS_MAX = 600
FINEST_S = 1 / 64
"""Bins of the shortest runs; a power of two, so that merged bins keep exact edges."""
DECISIONS_EACH_WAY = 12


@dataclass(frozen=True, slots=True)
class Point:
    """One bin from `at` on, `width_s` long. `ready` counts draining replicas too; with `starting` it is what is paid.

    Waits belong to the bin their request arrived in; a refused one waited until it was refused.
    """

    at: float
    width_s: float
    ready: float
    starting: float
    in_flight: float
    waiting: float
    load_peak: int
    requests: int
    wait_mean_s: float
    wait_worst_s: float


@dataclass(slots=True)
class _Bin:
    ready_s: float = 0.0
    starting_s: float = 0.0
    in_flight_s: float = 0.0
    waiting_s: float = 0.0
    load_peak: int = 0
    requests: int = 0
    wait_total_s: float = 0.0
    wait_worst_s: float = 0.0

    def merged(self, later: "_Bin") -> "_Bin":
        return _Bin(
            self.ready_s + later.ready_s,
            self.starting_s + later.starting_s,
            self.in_flight_s + later.in_flight_s,
            self.waiting_s + later.waiting_s,
            max(self.load_peak, later.load_peak),
            self.requests + later.requests,
            self.wait_total_s + later.wait_total_s,
            max(self.wait_worst_s, later.wait_worst_s),
        )


class Timeline:
    """Follows one simulation."""

    def __init__(self, bins_max: int = BINS_MAX) -> None:
        self._bins_max = bins_max + bins_max % 2
        self._width_s = FINEST_S
        self._bins = [_Bin()]
        self._now = 0.0
        self._starting: set[int] = set()
        self._ready: set[int] = set()
        self._in_flight = self._waiting = 0

    def step(self, now: float, event: Event, effects: list[Effect]) -> None:
        """Follow the replicas, and the requests from arrival to dispatch."""
        self._advance(now)
        match event:
            case Arrived():
                self._waiting += 1
                self._note_peak()
            case Failed(began=False):
                self._in_flight -= 1
                self._waiting += 1
            case ReplicaReady(replica_id):
                self._starting.discard(replica_id)
                self._ready.add(replica_id)
            case ReplicaStopped(replica_id) | ReplicaFailed(replica_id):
                self._starting.discard(replica_id)
                self._ready.discard(replica_id)
            case _:
                pass
        for effect in effects:
            self._follow(effect)

    def ended(self, request: Request, now: float) -> None:
        """Take one request out, and note how long it waited."""
        self._advance(now)
        if request.dispatched_at is None:
            self._waiting -= 1
        else:
            self._in_flight -= 1
        arrived_at = request.arrival.at
        wait_s = (now if request.dispatched_at is None else request.dispatched_at) - arrived_at
        home = self._bins[int(arrived_at / self._width_s)]
        home.requests += 1
        home.wait_total_s += wait_s
        home.wait_worst_s = max(home.wait_worst_s, wait_s)

    def points(self) -> list[Point]:
        """Return what was seen so far; every bin but the last is complete."""
        return [self._point(index, seen) for index, seen in enumerate(self._bins)]

    def _follow(self, effect: Effect) -> None:
        match effect:
            case Dispatch():
                self._waiting -= 1
                self._in_flight += 1
            case Preempt():
                self._in_flight -= 1
                self._waiting += 1
            case StartReplica(_, replica_id):
                self._starting.add(replica_id)
            case _:
                pass

    def _point(self, index: int, seen: _Bin) -> Point:
        at = index * self._width_s
        covered_s = min(self._width_s, self._now - at) or 1.0
        return Point(
            at,
            self._width_s,
            seen.ready_s / covered_s,
            seen.starting_s / covered_s,
            seen.in_flight_s / covered_s,
            seen.waiting_s / covered_s,
            seen.load_peak,
            seen.requests,
            seen.wait_total_s / seen.requests if seen.requests else 0.0,
            seen.wait_worst_s,
        )

    def _advance(self, now: float) -> None:
        """Let time pass with everything as it is, opening bins on the way."""
        while now >= (edge := len(self._bins) * self._width_s):
            self._pass(edge)
            if len(self._bins) == self._bins_max:
                self._merge()
            self._bins.append(_Bin())
            self._note_peak()
        self._pass(now)

    def _pass(self, until: float) -> None:
        elapsed_s = until - self._now
        if elapsed_s <= 0:
            return
        self._now = until
        current = self._bins[-1]
        current.ready_s += len(self._ready) * elapsed_s
        current.starting_s += len(self._starting) * elapsed_s
        current.in_flight_s += self._in_flight * elapsed_s
        current.waiting_s += self._waiting * elapsed_s

    def _merge(self) -> None:
        bins = self._bins
        self._bins = [early.merged(late) for early, late in zip(bins[::2], bins[1::2], strict=True)]
        self._width_s *= 2

    def _note_peak(self) -> None:
        current = self._bins[-1]
        current.load_peak = max(current.load_peak, self._in_flight + self._waiting)


class Moment:
    """The last decisions up to an instant and the first after it, in order."""

    def __init__(self, at: float, each_way: int = DECISIONS_EACH_WAY) -> None:
        self.at = at
        self._each_way = each_way
        self._before: deque[tuple[float, Decision]] = deque(maxlen=each_way)
        self._after: list[tuple[float, Decision]] = []

    @property
    def decisions(self) -> list[tuple[float, Decision]]:
        """Decisions with their instants."""
        return [*self._before, *self._after]

    def step(self, now: float, event: Event, effects: list[Effect]) -> None:
        """Keep what was decided in this step, if it is near."""
        for effect in effects:
            if isinstance(effect, RecordDecision):
                if now <= self.at:
                    self._before.append((now, effect.decision))
                elif len(self._after) < self._each_way:
                    self._after.append((now, effect.decision))

    def ended(self, request: Request, now: float) -> None:
        """Decisions are about pools, not requests."""
