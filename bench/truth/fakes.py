"""Live fake agents against their simulation: a recorded trace under three policies. How long they take is known exactly."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from live import Run, run_live
from sides import Figures, compare

from toque.sim.arrival import Arrival
from toque.sim.slots import SlotsProfile
from toque.sim.workload.named import find_workload
from toque.sim.workload.shape import sped_up, thinned, window

TRACE = "azure-code-2023"
SPAN_S = 1200.0
QUICK_SPAN_S = 300.0
SPEED_UP = 10.0
KEPT = 0.2
PROMPT_DIVISOR = 10
OUTPUT_TOKENS_MAX = 100
PROFILE = SlotsProfile(slots=4, base_s=0.2, prefill_token_s=0.001, decode_token_s=0.04)
POLICIES: Mapping[str, str] = {"concurrency": "", "rate": ", target = 2.0", "fixed": ", target = 4"}
SETTINGS = f"""
[models.chat]
agent = "fake"
slots = {PROFILE.slots}
replicas = {{{{ minimum_warm = 2, maximum = 8, scale_down_delay_s = 8 }}}}
scaling = {{{{ policy = "{{policy}}", stable_window_s = 12, burst_window_s = 3{{target}} }}}}
queue = {{{{ length_max = 10000, wait_s_max = 120, cold_wait_s_max = 120 }}}}

[models.chat.options]
ttft_s = {PROFILE.base_s}
prefill_s_per_token = {PROFILE.prefill_token_s}
token_gap_s = {PROFILE.decode_token_s}
tokens = 100000
start_s = 2.0
"""


def rows(folder: Path, policies: Sequence[str], *, quick: bool) -> Iterator[Mapping[str, object]]:
    """Run each policy both ways; simulated once as told, and once with agents as late as this machine made them.

    The quick form: one policy, a quarter of the traffic.
    """
    arrivals = traffic(QUICK_SPAN_S if quick else SPAN_S)
    for policy in policies[: 1 if quick else None]:
        run = run_live(SETTINGS.format(policy=policy, target=POLICIES[policy]), arrivals, folder / policy)
        noise = noise_of(run)
        late = replace(PROFILE, base_s=PROFILE.base_s + noise["late_mean_s"])
        live, simulated = compare(run, PROFILE)
        _, simulated_late = compare(run, late)
        yield {"case": policy, "live": live, "simulated": simulated, "simulated_late": simulated_late, "noise": noise}


def traffic(span_s: float) -> list[Arrival]:
    """A piece of the trace: ten times as fast, one request in five kept, prompts a tenth as long, no very long answers."""
    chance = random.Random(1)
    arrivals = thinned(sped_up(window(find_workload(TRACE).start(), 0, span_s), SPEED_UP), KEPT, chance)
    return [
        Arrival(a.at, max(1, a.prompt_tokens // PROMPT_DIVISOR), min(a.output_tokens, OUTPUT_TOKENS_MAX))
        for a in arrivals
    ]


def noise_of(run: Run) -> Figures:
    """How much later than told the agents were, by themselves, and how cold starts spread: what no simulation can know."""
    late_s = [one.service_s - PROFILE.service_s(one.arrival) for one in run.served()]
    cold = sorted(run.cold_starts_s)
    return {
        "requests": len(late_s),
        "late_mean_s": sum(late_s) / len(late_s),
        "cold_start_s_min": cold[0],
        "cold_start_s_max": cold[-1],
    }
