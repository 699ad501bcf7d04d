"""More work than there is room for: for ten minutes (O02), from clients that ask again at once (O03), and until it is over (O15).

Law: what is asserted of a run is judged from outside: by the clients, the process table, and the service's own journal.
"""

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from load import Answer, Asking, Ending, ask, ask_again, count, crowd, mixed, poisson, quantile
from service import Service, comes_true, serving, until

from toque.model.messages import Arrived, Dispatch
from toque.records.journal import JournalReader

SLOTS = 8
SLOT_S = 0.25
CAPACITY = SLOTS / SLOT_S
"""Requests a second: two replicas of four slots, a quarter of a second each."""
WAIT_S_MAX = 2.0
POOL = f"""
[models.chat]
agent = "fake"
slots = {SLOTS // 2}
options = {{{{ ttft_s = 0.05, token_gap_s = 0.01, tokens = 21, fail_ratio = {{fail_ratio}} }}}}
replicas = {{{{ minimum_warm = 2, maximum = 2 }}}}
queue = {{{{ length_max = {{length}}, wait_s_max = {{wait_s}} }}}}
"""
SETTLES_S = 5.0
"""Closed sockets are gone long before."""
SAMPLES = 40
SETTLED_SHARE = 0.3
"""Memory counts from here on: before, the rings of journal and access lines fill up."""
STORM = """
[models.chat]
agent = "fake"
slots = 64
options = { ttft_s = 1.0, tokens = 5, fail_ratio = 0.33 }
replicas = { minimum_warm = 2, maximum = 2 }
queue = { length_max = 32, wait_s_max = 2 }
"""
"""Wide, because a few retries are always allowed (budget_min): only beside many requests do they have to be a small share."""
STORM_CLIENTS = 256
SDK_RETRIES = 2
"""What the OpenAI SDK does by default: two more attempts, each after what Retry-After says."""


def soak(folder: Path, *, quick: bool) -> Mapping[str, object]:
    """O02: twice the capacity, at random instants."""
    seconds = 10.0 if quick else 600.0
    settings = POOL.format(fail_ratio=0.0, length=int(CAPACITY * WAIT_S_MAX * 2), wait_s=WAIT_S_MAX)
    with serving(settings, folder) as service:
        asyncio.run(poisson(2 * CAPACITY, 3.0, random.Random(0), mixed(service.url)))
        until(lambda: not service.in_flight())
        before = _state(service)  # with the connections to replicas that full slots need
        answers, memory = asyncio.run(_sampled(service, 2 * CAPACITY, seconds))
        until(lambda: not service.in_flight())
        comes_true(lambda: service.descriptors() <= before.descriptors, SETTLES_S)
        after = _state(service)
        dispatched = service.counted("toque_queue_wait_seconds_count") - before.dispatched
    settled = memory[int(len(memory) * SETTLED_SHARE) :]
    good = [answer for answer in answers if answer.ending is Ending.GOOD]
    took_s = max(answer.ended_at for answer in answers) - min(answer.asked_at for answer in answers)
    return {
        "case": f"O02: twice the capacity for {seconds:g} s",
        "requests": len(answers),
        **count(answers),
        "dispatched": int(dispatched),
        "goodput_of_capacity": len(good) / took_s / CAPACITY,
        "p99_s": quantile((answer.took_s for answer in good), 0.99),
        "wait_s_max": WAIT_S_MAX,
        "rss_mib": [round(size / 2**20, 1) for size in (settled[0], min(settled), max(settled), settled[-1])],
        "rss_drift": max(settled) / min(settled) - 1,
        "tasks": [before.tasks, after.tasks],
        "descriptors": [before.descriptors, after.descriptors],
    }


def storm(folder: Path, *, quick: bool) -> Mapping[str, object]:
    """O03: 128 clients that ask again at once whatever they get, and replicas that fail every third request."""
    seconds = 5.0 if quick else 60.0
    with serving(STORM, folder) as service:

        async def once() -> Iterable[Answer]:
            return [await ask(service.url, is_stream=False)]

        answers = asyncio.run(crowd(STORM_CLIENTS, seconds, once))
        until(lambda: not service.in_flight())
    with JournalReader(folder / "journal.jsonl") as journal:
        steps = list(journal.steps())
    admitted = {effect.ticket_id for _, _, effects in steps for effect in effects if isinstance(effect, Dispatch)}
    attempts = sum(isinstance(effect, Dispatch) for _, _, effects in steps for effect in effects)
    return {
        "case": f"O03: {STORM_CLIENTS} clients that ask again at once for {seconds:g} s",
        "requests": sum(isinstance(event, Arrived) for _, event, _ in steps),
        "admitted": len(admitted),
        "attempts": attempts,
        "attempts_per_admitted": attempts / max(1, len(admitted)),
        "attempts_per_request": attempts / max(1, len(answers)),
        **count(answers),
    }


def metastable(folder: Path, retries: int, *, quick: bool) -> Mapping[str, object]:
    """O15: five times the capacity, then half of it; clients that ask so often again. Default line and patience."""
    phases_s = (5.0, 4.0, 12.0) if quick else (20.0, 60.0, 60.0)
    settings = POOL.format(fail_ratio=0.0, length=48 if quick else 256, wait_s=30.0)
    chance = random.Random(0)
    with serving(settings, folder) as service:
        asking = partial(_persist, service.url, retries, chance)
        calm, after, dropped_at = asyncio.run(_wave(phases_s, asking))
    normal_s = quantile((answer.took_s for answer in calm), 0.99)
    return {
        "case": f"O15: five times the capacity for {phases_s[1]:g} s, then half; {retries} retries",
        "requests_after": len(after),
        **count(after),
        "normal_p99_s": normal_s,
        "back_to_normal_s": _back_to_normal_s(after, dropped_at, normal_s, 1.0 if quick else 5.0),
    }


async def _persist(url: str, retries: int, chance: random.Random, _number: int) -> Answer:
    return await ask_again(url, retries, chance)


@dataclass(frozen=True)
class _State:
    tasks: int
    descriptors: int
    dispatched: float


def _state(service: Service) -> _State:
    return _State(service.tasks(), service.descriptors(), service.counted("toque_queue_wait_seconds_count"))


async def _sampled(service: Service, rate: float, seconds: float) -> tuple[list[Answer], Sequence[int]]:
    """Load, and look at the memory meanwhile."""
    load = asyncio.create_task(poisson(rate, seconds, random.Random(1), mixed(service.url)))
    memory = []
    while not load.done():
        await asyncio.wait([load], timeout=seconds / SAMPLES)
        memory.append(service.rss_bytes())
    return await load, memory


async def _wave(phases_s: Sequence[float], asking: Asking) -> tuple[list[Answer], list[Answer], float]:
    """Half, five times and half the capacity; return the answers of the first and the last phase, and when that began."""
    calm_s, burst_s, after_s = phases_s
    calm = await poisson(CAPACITY / 2, calm_s, random.Random(1), asking)
    burst = asyncio.create_task(poisson(5 * CAPACITY, burst_s, random.Random(2), asking))
    await asyncio.sleep(burst_s)
    dropped_at = asyncio.get_running_loop().time()
    after = await poisson(CAPACITY / 2, after_s, random.Random(3), asking)
    await burst
    return calm, after, dropped_at


def _back_to_normal_s(answers: Iterable[Answer], since: float, normal_s: float, bin_s: float) -> float:
    """Return when the last bin ended whose p99 was more than half above the normal one, or that had a bad ending."""
    bins: dict[int, list[Answer]] = {}
    for answer in answers:
        bins.setdefault(int((answer.asked_at - since) / bin_s), []).append(answer)
    bad = [
        number
        for number, inside in bins.items()
        if quantile((one.took_s for one in inside), 0.99) > 1.5 * normal_s
        or any(one.ending is not Ending.GOOD for one in inside)
    ]
    return (max(bad) + 1) * bin_s if bad else 0.0
