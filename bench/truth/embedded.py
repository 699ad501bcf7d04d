"""The embedded model, live, against the profile that `toque calibrate` made of it. Its errors are told, whatever they are.

Twice: at 60 % of what the profile can serve (TTFT), and with everything asked for at once (throughput).
"""

import random
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from live import run_live
from sides import compare

from toque.sim.arrival import Arrival
from toque.sim.slots import SlotsProfile
from toque.sim.workload.synthetic import Sizes, Source, poisson

SLOTS = 2
SIZES = Sizes(prompt_tokens=60, output_tokens=16)
TYPICAL = Arrival(0.0, 100, 16)
"""A prompt of 60 words is about 100 tokens of this model, its chat template included."""
LOAD = 0.6
SETTINGS = f"""
[models.chat]
source = "embedded"
slots = {SLOTS}
threads = 1
scaling = {{ policy = "fixed" }}
queue = {{ length_max = 10000, wait_s_max = 600, cold_wait_s_max = 600 }}
"""


def rows(folder: Path, *, quick: bool) -> Iterator[Mapping[str, object]]:
    """Calibrate, then run both ways."""
    seconds = 30.0 if quick else 90.0
    profile, told = calibrate(folder, seconds)
    rate = SLOTS / profile.service_s(TYPICAL)
    calm = list(poisson(LOAD * rate, Source(seconds, random.Random(1), SIZES)))
    rush = [SIZES.draw(0.0, chance) for chance in [random.Random(2)] for _ in range(max(4, int(rate * seconds)))]
    for case, arrivals in (("calm", calm), ("rush", rush)):
        live, simulated = compare(run_live(SETTINGS, arrivals, folder / case), profile)
        yield {"case": f"embedded, {case}", "live": live, "simulated": simulated, "profile": told}


def calibrate(folder: Path, seconds: float) -> tuple[SlotsProfile, str]:
    """Return what `toque calibrate` says, as a profile and as text."""
    config, output = folder / "embedded.toml", folder / "profile.toml"
    config.write_text(SETTINGS)
    asked = ["calibrate", "--config", str(config), "--seconds", str(seconds), "-o", str(output)]
    subprocess.run([sys.executable, "-m", "toque", *asked], check=True, stdout=subprocess.DEVNULL)
    text = output.read_text("utf-8")
    parameters = tomllib.loads(text)
    del parameters["model"]
    return SlotsProfile(**parameters), text
