"""Replicas that are killed: how soon somebody gets an answer again, and what the death cost.

Law: a request is lost only if its client got neither an answer nor a refusal it can act on; those whose stream had begun
cannot be saved (house rule: never silently begun anew) and are counted apart.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from load import Ending, ask, count, mixed, poisson, quantile
from service import Service, serving, until

FAKE = """
[models.chat]
agent = "fake"
slots = 4
options = {{ ttft_s = 0.05, token_gap_s = 0.01, tokens = 20 }}
replicas = {{ minimum_warm = {replicas}, maximum = {replicas} }}
"""
EMBEDDED = """
[models.chat]
source = "embedded"
slots = 2
threads = 1
replicas = { minimum_warm = 1, maximum = 1 }
"""
CASES = {"fake, 1 replica": FAKE.format(replicas=1), "fake, 2 replicas": FAKE.format(replicas=2), "embedded": EMBEDDED}
QUICK_CASES = ("fake, 1 replica", "fake, 2 replicas")
LIVED_S = 6.0
"""A replica lives so long before it is killed: an early death (early_death_s, 5 s) would make the next start wait longer."""
LOAD_RATIO = 0.4
SLOT_S = 0.25
"""Seconds that the fake model takes for an answer."""


def restarts(folder: Path, *, quick: bool) -> Iterator[Mapping[str, object]]:
    """Time the next good answer after a kill, the cases in turn."""
    rounds = 2 if quick else 20
    took_s: dict[str, list[float]] = {name: [] for name in (QUICK_CASES if quick else CASES)}
    with ExitStack() as stack:
        services = {name: stack.enter_context(serving(CASES[name], folder / name)) for name in took_s}
        for number in range(rounds):
            if number or not quick:
                time.sleep(LIVED_S)
            for name, service in services.items():
                took_s[name].append(_recover(service))
    for name, seconds in took_s.items():
        spread = {"median_s": quantile(seconds, 0.5), "p95_s": quantile(seconds, 0.95), "max_s": max(seconds)}
        yield {"case": f"SIGKILL to the next good answer: {name}", "kills": rounds, **spread}


def under_load(folder: Path, *, quick: bool) -> Mapping[str, object]:
    """Keep three replicas at 40 % of their slots, every second request a stream, and kill one each so many seconds."""
    seconds, each_s = (8.0, 3.0) if quick else (600.0, 20.0)
    with serving(FAKE.format(replicas=3), folder) as service:
        rate = LOAD_RATIO * 3 * 4 / SLOT_S
        answers, kills = asyncio.run(_load_and_kill(service, rate, seconds, each_s))
        until(lambda: not service.in_flight())
    lost = [answer for answer in answers if answer.ending is Ending.LOST]
    return {
        "case": f"a kill every {each_s:g} s for {seconds:g} s",
        "kills": kills,
        "requests": len(answers),
        **count(answers),
        "lost_before_their_first_token": sum(not answer.began_answering for answer in lost),
        "p99_s": quantile((answer.took_s for answer in answers if answer.ending is Ending.GOOD), 0.99),
    }


async def _load_and_kill(service: Service, rate: float, seconds: float, each_s: float) -> tuple[Sequence, int]:
    load = asyncio.create_task(poisson(rate, seconds, random.Random(1), mixed(service.url)))
    chance, kills = random.Random(2), 0
    while not load.done():
        await asyncio.wait([load], timeout=each_s)
        if not load.done():
            os.kill(chance.choice(await asyncio.to_thread(service.pids)), signal.SIGKILL)
            kills += 1
    return await load, kills


def _recover(service: Service) -> float:
    """Kill a replica while nothing is asked, ask at once, and return the seconds to the end of a good answer."""
    until(lambda: not service.in_flight())
    pids = service.pids()
    killed_at = time.monotonic()
    os.kill(pids[0], signal.SIGKILL)
    while asyncio.run(ask(service.url, is_stream=True)).ending is not Ending.GOOD:
        pass
    took_s = time.monotonic() - killed_at
    until(lambda: len(service.pids()) == len(pids))
    return took_s
