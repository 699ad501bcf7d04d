"""The toque side: CPU seconds to simulate one workload under one policy, measures included."""

from collections.abc import Sequence
from time import process_time

from toque.sim.arrival import Arrival
from toque.sim.cold_start import constant
from toque.sim.slots import SlotsProfile
from toque.sim.study import FIXED, Question, Sizes, run_fixed, run_policy

SLOTS = 8
SERVICE_S = 2.0
"""Every request takes as long: what SimPy's timeout does, and what needs nothing of a replica model."""
REPLICAS = 4
PROFILE = SlotsProfile(SLOTS, base_s=SERVICE_S)


def seconds(policy: str, arrivals: Sequence[Arrival]) -> tuple[float, float]:
    """Return CPU seconds of one run, and the mean queue wait it found (s)."""
    question = Question(lambda: iter(arrivals), PROFILE, constant(30.0), Sizes(REPLICAS, 1, 4 * REPLICAS))
    began = process_time()
    row = run_fixed(question, REPLICAS) if policy == FIXED else run_policy(question, policy)
    return process_time() - began, row.measures.queue_wait.mean_s
