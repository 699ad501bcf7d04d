"""People beside a backlog: the same interactive load with and without it, in turns, on fake agents and on the embedded model.

Law: a figure with the backlog stands beside the one without, of the same service, the same minutes and the same instants of
arrival: people alone may be too many at a moment, too.
"""

import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clients import Asked, Door, crowd, poisson, quantile, talker
from served import Service, backlog, engine, serving, until

SLOTS = 16
FAKE = f"""
[models.chat]
agent = "fake"
slots = {SLOTS // 2}
options = {{ ttft_s = 0.05, token_gap_s = 0.01, tokens = 20 }}
replicas = {{ minimum_warm = 2, maximum = 2 }}
"""
FAKE_S = 0.05 + 19 * 0.01
"""What the fake model takes for an answer."""
ENGINE_SLOTS, ENGINE_THREADS, ENGINE_CONTEXT = 4, 1, 1024
EMBEDDED = f"""
[models.chat]
source = "embedded"
slots = {ENGINE_SLOTS}
threads = {ENGINE_THREADS}
context_tokens = {ENGINE_CONTEXT}
replicas = {{ minimum_warm = 1, maximum = 1 }}
"""
LOAD_RATIO = 0.4
"""Of the slots, what the interactive requests take by themselves."""
CROWD = 32
"""Batch requests that wait at the bare engine at once: as many as toque's desk has under way (jobs.in_flight_max)."""


@dataclass(frozen=True)
class Load:
    """Interactive requests: so many a second, for so long, with so many words of prompt and tokens of answer."""

    rate: float
    seconds: float
    words: int
    tokens_max: int

    def talk(self, door: Door, seed: int, story: int) -> list[Asked]:
        """Ask at the instants that the seed says, with prompts that no other `story` has; return what came of it."""
        return asyncio.run(self.talking(door, seed, story))

    async def talking(self, door: Door, seed: int, story: int) -> list[Asked]:
        """The same inside of a loop."""
        asking = talker(door, self.words, self.tokens_max, story * 10_000)
        return await poisson(self.rate, self.seconds, seed, asking)


@dataclass
class Sides:
    """What was asked without and with the backlog, and the items a second that were done meanwhile."""

    quiet: list[list[Asked]]
    busy: list[list[Asked]]
    items_per_s: list[float]


def on_fakes(folder: Path, *, quick: bool) -> Mapping[str, object]:
    """Measure on a fake model of two replicas, sixteen slots in all."""
    rounds, seconds = (1, 4.0) if quick else (6, 10.0)
    load = Load(LOAD_RATIO * SLOTS / FAKE_S, seconds, words=20, tokens_max=20)
    with serving(FAKE, folder) as service:
        alone_per_s = batch_alone(service, 2.0 if quick else 10.0, words=20, tokens_max=20)
        sides = contrast(service, load, rounds, words=20, tokens_max=20)
        preempted = service.counted("toque_preemptions_total")
    return {
        "interactive_requests": sum(map(len, sides.quiet)) + sum(map(len, sides.busy)),
        **compare(sides),
        **batch_share(sides, load, alone_per_s, SLOTS),
        "preempted": preempted,
    }


def on_the_engine(folder: Path, *, quick: bool) -> Mapping[str, object]:
    """Measure on the embedded model: behind toque, and its own server with its own queue asked by the same clients."""
    rounds, seconds = (1, 5.0) if quick else (1, 15.0)
    load = Load(0.6, seconds, words=20, tokens_max=24)
    with serving(EMBEDDED, folder) as service, engine(ENGINE_SLOTS, ENGINE_THREADS, ENGINE_CONTEXT) as bare:
        alone_per_s = batch_alone(service, seconds / 2, words=40, tokens_max=64)
        toque, direct = Sides([], [], []), Sides([], [], [])
        for number in range(rounds):
            one = contrast(service, load, 1, words=40, tokens_max=64, first=number)
            toque.quiet += one.quiet
            toque.busy += one.busy
            toque.items_per_s += one.items_per_s
            direct.quiet.append(load.talk(bare, number, 100 + number))
            asked, items_per_s = asyncio.run(_beside_a_crowd(bare, load, number))
            direct.busy.append(asked)
            direct.items_per_s.append(items_per_s)
    return {
        **compare(toque, "toque_"),
        **compare(direct, "engine_alone_"),
        "toque_batch_items_per_s": statistics.mean(toque.items_per_s),
        "engine_alone_batch_items_per_s": statistics.mean(direct.items_per_s),
        "toque_batch_items_per_s_without_chat": alone_per_s,
    }


def contrast(service: Service, load: Load, rounds: int, *, words: int, tokens_max: int, first: int = 0) -> Sides:
    """Talk without and with a saturating backlog in turns."""
    sides = Sides([], [], [])
    for number in range(first, first + rounds):
        sides.quiet.append(load.talk(service.door, number, 2 * number))
        batch_id = saturate(service, words, tokens_max, round(load.seconds))
        before, began = service.completed([batch_id]), time.monotonic()
        sides.busy.append(load.talk(service.door, number, 2 * number + 1))
        sides.items_per_s.append((service.completed([batch_id]) - before) / (time.monotonic() - began))
        assert service.batch(batch_id)["status"] == "in_progress", "the backlog was too small"
        service.cancel(batch_id)
    return sides


def saturate(service: Service, words: int, tokens_max: int, seconds: int) -> str:
    """Submit more than can be done in so many seconds, and return the batch once it moves."""
    batch_id = service.submit(service.upload(backlog(500 + 100 * seconds, words, tokens_max)))
    until(lambda: service.completed([batch_id]) > 0)
    return batch_id


def batch_alone(service: Service, seconds: float, *, words: int, tokens_max: int) -> float:
    """Return the items a second that are done while nobody talks."""
    batch_id = saturate(service, words, tokens_max, round(2 * seconds))
    before, began = service.completed([batch_id]), time.monotonic()
    time.sleep(seconds)
    per_s = (service.completed([batch_id]) - before) / (time.monotonic() - began)
    service.cancel(batch_id)
    return per_s


def compare(sides: Sides, name: str = "") -> dict[str, object]:
    """Return TTFT of both sides; the ratios are those of all rounds together, and of the rounds one by one."""
    quiet, busy = _ttfts(sides.quiet), _ttfts(sides.busy)
    by_round = [
        quantile(_ttfts([with_it]), 0.99) / quantile(_ttfts([without]), 0.99)
        for without, with_it in zip(sides.quiet, sides.busy, strict=True)
    ]
    return {
        f"{name}quiet_p50_ms": quantile(quiet, 0.5) * 1000,
        f"{name}quiet_p99_ms": quantile(quiet, 0.99) * 1000,
        f"{name}busy_p50_ms": quantile(busy, 0.5) * 1000,
        f"{name}busy_p99_ms": quantile(busy, 0.99) * 1000,
        f"{name}p99_ratio": quantile(busy, 0.99) / quantile(quiet, 0.99),
        f"{name}p99_ratio_by_round": ", ".join(f"{ratio:.2f}" for ratio in sorted(by_round)),
        f"{name}not_answered": sum(not one.is_whole for asked in (*sides.quiet, *sides.busy) for one in asked),
    }


def batch_share(sides: Sides, load: Load, alone_per_s: float, slots: int) -> dict[str, object]:
    """Return what batch did as a share of what the slots could do that nobody talked on.

    Those are the slots less what the same requests took without a backlog, by the seconds their answers took.
    """
    talking = sum(one.took_s for asked in sides.quiet for one in asked) / (load.seconds * len(sides.quiet))
    idle_per_s = alone_per_s * (1 - talking / slots)
    done_per_s = statistics.mean(sides.items_per_s)
    return {
        "batch_items_per_s_alone": alone_per_s,
        "slots_busy_with_chat": talking,
        "batch_items_per_s": done_per_s,
        "batch_share_of_idle": done_per_s / idle_per_s,
    }


def _ttfts(rounds: Sequence[Sequence[Asked]]) -> list[float]:
    return [one.ttft_s for asked in rounds for one in asked]


async def _beside_a_crowd(door: Door, load: Load, seed: int) -> tuple[list[Asked], float]:
    """Talk while a crowd keeps the engine's own queue full; return also the crowd's answers a second."""
    ends, now = asyncio.Event(), asyncio.get_running_loop().time
    noise = asyncio.create_task(crowd(CROWD, ends, talker(door, 40, 64, 10**6 + seed * 10_000)))
    await asyncio.sleep(2.0)
    began = now()
    asked = await load.talking(door, seed, 200 + seed)
    seconds = now() - began
    ends.set()
    return asked, len(await noise) / (seconds + 2.0)
