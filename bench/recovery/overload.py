"""More work than there is room for: for ten minutes (O02), from clients that ask again at once (O03), and until it is over (O15).

Law: what is asserted of a run is judged from outside: by the clients, the process table, and the service's own journal.
"""

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from load import Answer, Ending, ask, count, crowd, poisson, quantile
from service import Service, serving, until

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
        asyncio.run(poisson(service.url, 2 * CAPACITY, 3.0, random.Random(0)))
        until(lambda: not service.in_flight())
        before = _state(service)  # with the connections to replicas that full slots need
        answers, memory = asyncio.run(_sampled(service, 2 * CAPACITY, seconds))
        until(lambda: not service.in_flight())
        until(lambda: service.descriptors() <= before.descriptors)
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


def metastable(folder: Path, *, quick: bool) -> Mapping[str, object]:
    """O15: five times the capacity, then half of it; clients that ask again as the SDKs do. Default line and patience."""
    calm_s, burst_s, after_s = (5.0, 4.0, 12.0) if quick else (20.0, 60.0, 60.0)
    settings = POOL.format(fail_ratio=0.0, length=48 if quick else 256, wait_s=30.0)
    with serving(settings, folder) as service:
        calm, _, after, dropped_at = asyncio.run(_wave(service.url, calm_s, burst_s, after_s))
    normal_s = quantile((answer.took_s for answer in calm), 0.99)
    return {
        "case": f"O15: five times the capacity for {burst_s:g} s, then half",
        "requests_after": len(after),
        **count(after),
        "normal_p99_s": normal_s,
        "back_to_normal_s": _back_to_normal_s(after, dropped_at, normal_s, 1.0 if quick else 5.0),
    }


@dataclass(frozen=True)
class _State:
    tasks: int
    descriptors: int
    dispatched: float


def _state(service: Service) -> _State:
    return _State(service.tasks(), service.descriptors(), service.counted("toque_queue_wait_seconds_count"))


async def _sampled(service: Service, rate: float, seconds: float) -> tuple[list[Answer], Sequence[int]]:
    """Load, and look at the memory meanwhile."""
    load = asyncio.create_task(poisson(service.url, rate, seconds, random.Random(1)))
    memory = []
    while not load.done():
        await asyncio.wait([load], timeout=seconds / SAMPLES)
        memory.append(service.rss_bytes())
    return await load, memory


async def _wave(
    url: str, calm_s: float, burst_s: float, after_s: float
) -> tuple[list[Answer], list[Answer], list[Answer], float]:
    """Return the answers of three phases by when they were asked for, and when the burst was over."""
    now = asyncio.get_running_loop().time
    calm = await _persistent(url, CAPACITY / 2, calm_s, 1)
    burst = asyncio.create_task(_persistent(url, 5 * CAPACITY, burst_s, 2))
    await asyncio.sleep(burst_s)
    dropped_at = now()
    after = await _persistent(url, CAPACITY / 2, after_s, 3)
    return calm, await burst, after, dropped_at


async def _persistent(url: str, rate: float, seconds: float, seed: int) -> list[Answer]:
    """Ask at random instants; one that is refused asks again. An answer's time counts from its first attempt."""
    chance, now = random.Random(seed), asyncio.get_running_loop().time
    due, until_s = now(), now() + seconds
    async with asyncio.TaskGroup() as group:
        asked = []
        while (due := due + chance.expovariate(rate)) < until_s:
            await asyncio.sleep(max(0.0, due - now()))
            asked.append(group.create_task(_ask_again(url, chance)))
    return [task.result() for task in asked]


async def _ask_again(url: str, chance: random.Random) -> Answer:
    first = answer = await ask(url, is_stream=False)
    for _ in range(SDK_RETRIES):
        if answer.ending is not Ending.REFUSED:
            break
        await asyncio.sleep(answer.retry_after_s * chance.uniform(0.75, 1.0))
        answer = await ask(url, is_stream=False)
    return Answer(answer.ending, first.asked_at, answer.ended_at)


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
