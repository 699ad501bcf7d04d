"""Both sides of one comparison, measured by the same code: what happened, and what the simulator says would have.

Law: the simulation gets the live run's specs, its arrivals and its cold starts in their order, and nothing else of it.
"""

import random
from collections.abc import Callable, Mapping
from itertools import chain, repeat

from live import Run, watch

from toque.sim.engine import Scenario, Simulation
from toque.sim.measure import Measures
from toque.sim.objective import Objective
from toque.sim.profile import Profile

OBJECTIVE = Objective("queue_wait", 2.0, 0.99)
Figures = Mapping[str, float]


def compare(run: Run, profile: Profile) -> tuple[Figures, Figures]:
    """Return the figures of the live run and of its simulation."""
    live = Measures(OBJECTIVE, profile.slots)
    watch(run, live)
    simulated = Measures(OBJECTIVE, profile.slots)
    scenario = Scenario(run.spec, run.arrivals, profile.replica, _in_turn(run))
    Simulation(scenario, [simulated]).run()
    return _figures(live, run), _figures(simulated, run)


def _figures(measures: Measures, run: Run) -> Figures:
    measures.close()
    busy_s = measures.ended_at - run.arrivals[0].at
    return {
        "replica_hours": measures.replica_hours,
        "attainment": measures.attainment,
        "mean_wait_s": measures.queue_wait.mean_s,
        "ttft_mean_s": measures.ttft.mean_s,
        "ttft_p50_s": measures.ttft.quantile(0.5),
        "ttft_p95_s": measures.ttft.quantile(0.95),
        "tokens_per_s": sum(arrival.output_tokens for arrival in run.arrivals) / busy_s,
        "starts": measures.starts,
    }


def _in_turn(run: Run) -> Callable[[random.Random], float]:
    """Let the nth start take what it took live; further ones the mean."""
    seconds = run.cold_starts_s
    upcoming = chain(seconds, repeat(sum(seconds) / len(seconds)))
    return lambda _: next(upcoming)
