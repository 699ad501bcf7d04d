"""The embedded model, live, against the profile that `toque calibrate` made of it. Its errors are told, whatever they are.

Twice: at 40 % of what the profile can serve (TTFT), and with everything asked for at once (throughput). Calibrated before and
after, because a machine that others use is not the same machine for five minutes.
"""

import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from live import run_live
from sides import compare

from toque.sim.arrival import Arrival
from toque.sim.profile import Profile, load_profile
from toque.sim.workload.synthetic import Sizes, Source, poisson

SLOTS = 2
SIZES = Sizes(prompt_tokens=60, output_tokens=16)
TYPICAL = Arrival(0.0, 100, 16)
"""A prompt of 60 words is about 100 tokens of this model, its chat template included."""
LOAD = 0.4
SETTINGS = f"""
[models.chat]
source = "embedded"
slots = {SLOTS}
threads = 1
scaling = {{ policy = "fixed" }}
queue = {{ length_max = 10000, wait_s_max = 600, cold_wait_s_max = 600 }}
"""


def rows(folder: Path, *, quick: bool) -> Iterator[Mapping[str, object]]:
    """Calibrate, run both ways, calibrate again."""
    seconds = 20.0 if quick else 60.0
    before, told = calibrate(folder, seconds)
    rate = SLOTS / before.service_s(TYPICAL)
    chance = random.Random(2)
    calm = list(poisson(LOAD * rate, Source(2 * seconds, random.Random(1), SIZES)))
    rush = [SIZES.draw(0.0, chance) for _ in range(max(4, int(rate * seconds)))]
    runs = {name: run_live(SETTINGS, arrivals, folder / name) for name, arrivals in (("calm", calm), ("rush", rush))}
    after, told_after = calibrate(folder, seconds)
    for name, run in runs.items():
        live, simulated = compare(run, before)
        _, simulated_after = compare(run, after)
        yield {
            "case": f"embedded, {name}",
            "live": live,
            "simulated": simulated,
            "simulated_after": simulated_after,
            "profile": f"before:\n{told}after:\n{told_after}",
        }


def calibrate(folder: Path, seconds: float) -> tuple[Profile, str]:
    """Return what `toque calibrate` says, as a profile and as text."""
    config, output = folder / "embedded.toml", folder / "profile.toml"
    config.write_text(SETTINGS)
    asked = ["calibrate", "--config", str(config), "--seconds", str(seconds), "-o", str(output)]
    subprocess.run([sys.executable, "-m", "toque", *asked], check=True, stdout=subprocess.DEVNULL)
    return load_profile(str(output)), output.read_text("utf-8")
