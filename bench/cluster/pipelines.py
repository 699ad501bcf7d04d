"""What stands between load and a decision when something else scales: a scrape, a controller that looks each so many seconds.

Law: a pipeline changes when the rule inside it is asked and how old what it sees is, never the rule. Phases are drawn: nobody knows
how a burst falls between two scrapes.
"""

import random
from collections.abc import Callable
from dataclasses import replace

from toque.core.hpa_rule import INTERVAL_S, HpaRule
from toque.core.policy import Policy
from toque.model.decision import Desired, Observation
from toque.model.spec import PoolSpec

SCRAPE_S = 15.0
"""How often Prometheus asks, in the usual set-ups for autoscaling; its own default is 60 s, kube-prometheus has 30 s."""
SYNC_S = INTERVAL_S
"""How often the HPA looks; KEDA's ScaledObject becomes an HPA, which looks as often. KEDA's own poll (30 s) only wakes from zero."""
LOOK_S = 1.0

Make = Callable[[PoolSpec], Policy]


class Beat:
    """Is due each `every_s`, from a phase on that is drawn."""

    def __init__(self, every_s: float, chance: random.Random) -> None:
        self._every_s = every_s
        self._next_at = chance.random() * every_s

    def is_due(self, now: float) -> bool:
        """Whether it is due, once a beat."""
        if now < self._next_at:
            return False
        self._next_at += self._every_s * (1 + int((now - self._next_at) / self._every_s))
        return True


class Scraped(Policy):
    """A rule that sees the load as it was at the last scrape, and is asked at its own beat."""

    interval_s = LOOK_S
    foresees = True

    def __init__(self, rule: Policy, chance: random.Random) -> None:
        self._rule = rule
        self._scrape, self._sync = Beat(SCRAPE_S, chance), Beat(SYNC_S, chance)
        self._seen: Observation | None = None
        self._told: Desired | None = None

    def desire(self, seen: Observation, now: float) -> Desired:
        """Look each second whether anything is due."""
        if self._scrape.is_due(now) or self._seen is None:
            self._seen = seen
        if self._sync.is_due(now) or self._told is None:
            old = self._seen
            load = replace(seen, in_flight=old.in_flight, waiting=old.waiting, demand_burst=old.demand_burst)
            self._told = self._rule.desire(load, now)
        return self._told


class ByHpa(Policy):
    """A policy of toque's whose number an HPA reads as an external metric, one a replica, and carries out in its own time."""

    foresees = True

    def __init__(self, policy: Policy, chance: random.Random) -> None:
        self.interval_s = policy.interval_s
        self._policy = policy
        self._sync = Beat(SYNC_S, chance)
        self._rule = HpaRule(1.0)
        self._told: Desired | None = None

    def desire(self, seen: Observation, now: float) -> Desired:
        """The policy goes on learning between two looks of the HPA."""
        wanted = self._policy.desire(seen, now)
        if self._sync.is_due(now) or self._told is None:
            replicas = self._rule.by_queue(wanted.replicas, seen.ready + seen.starting, now)
            self._told = Desired(replicas, f"HPA: {wanted.reason}")
        return self._told


def scraped(make: Make, seed: int) -> Make:
    """Put a rule behind scrapes."""
    return lambda spec: Scraped(make(spec), random.Random(seed))


def by_hpa(make: Make, seed: int) -> Make:
    """Let an HPA carry a policy out."""
    return lambda spec: ByHpa(make(spec), random.Random(seed))
