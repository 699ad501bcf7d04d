"""Calibration: a real replica of one model is measured alone and with all its slots busy, and a profile fitted to that.

Law: it runs as `toque up` would run it (same threads, context and slots), but one replica only; it is bounded in time, and
what it starts is gone when it returns, also on Ctrl-C.
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from itertools import cycle

from toque.app.fleet import OpenFleet, open_fleet
from toque.app.lineup import Announce
from toque.app.machine import measure_machine
from toque.app.plan import fill_capacity, settle_threads
from toque.model.agent_spec import ModelSpec
from toque.model.errors import ConfigError, ToqueError, UpstreamError
from toque.model.inference import Message, PromptContext, SamplingParameters, Usage
from toque.model.messages import ReplicaReady, StartReplica
from toque.model.service_spec import ServiceSpec
from toque.model.spec import QueueSpec, ReplicaBounds, ScalingSpec
from toque.ports import InferenceAgent
from toque.sim.fit import SERVED_MIN, Fit, fit_slots
from toque.sim.neighbours import Served

PROMPT_WORDS = (8, 48, 192)
OUTPUT_TOKENS = (4, 16, 32)
CONTEXT_SHARE = 0.5
"""Of a slot's context that a prompt may take, counted as one and a half tokens a word."""
ALONE_SHARE = 0.4
"""Of the time, for one client alone; the rest is for all slots busy, where more is to be learned."""
PATIENCE_FACTOR = 2.0
"""Requests under way at the end of the time get as much again; then they are given up."""
WORDS = (
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jetty", "knoll", "ledge", "marsh",
    "north", "ocean", "ridge", "shore", "tidal",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Calibration:
    """What came out: the fit, and the cold start of the one replica in seconds."""

    model: str
    fit: Fit
    cold_start_s: float


async def calibrate(
    spec: ServiceSpec, name: str, limit_s: float, announce: Announce, progress: Callable[[float], None]
) -> Calibration:
    """Measure a model for about `limit_s` seconds after its start. `progress` is told the share that is over.

    Raises `ConfigError` for a model that is not there, `UpstreamError` when too few requests were answered in time.
    """
    clock = asyncio.get_running_loop().time
    async with open_fleet(_alone(spec, name), announce) as fleet:
        model = fleet.models[name]
        bench = _Bench(fleet.agent(name), model, clock)
        await bench.ask(PROMPT_WORDS[0], OUTPUT_TOKENS[0])  # holds until the replica is there; not counted
        bench.served.clear()
        started = clock()
        bench.tell = lambda: progress(min(1.0, (clock() - started) / limit_s))
        with suppress(TimeoutError):  # what was answered until then counts
            async with asyncio.timeout(limit_s * PATIENCE_FACTOR):
                await bench.crowd(1, started + limit_s * ALONE_SHARE)
                await bench.crowd(model.pool.slots, started + limit_s)
        return Calibration(name, _fit(bench, model), cold_start_of(fleet))


def cold_start_of(fleet: OpenFleet) -> float:
    """Seconds that the first start of a fleet took; 0 where nothing is started."""
    ordered: dict[int, float] = {}
    for now, event, effects in fleet.ring.steps():
        ordered |= {effect.replica_id: now for effect in effects if isinstance(effect, StartReplica)}
        if isinstance(event, ReplicaReady) and event.replica_id in ordered:
            return now - ordered[event.replica_id]
    return 0.0


def _alone(spec: ServiceSpec, name: str) -> ServiceSpec:
    """Keep one model with one replica. Threads are settled before, among all replicas there may be in service."""
    capacity = fill_capacity(spec.capacity, measure_machine(), lambda _: None)
    models = {model.pool.name: model for model in settle_threads(spec.models, capacity.cores)}
    if name not in models:
        raise ConfigError(f"there is no model {name!r}", fix=f"name one of {', '.join(models)}")
    pool = replace(
        models[name].pool,
        replicas=replace(ReplicaBounds(), startup_timeout_s=models[name].pool.replicas.startup_timeout_s),
        scaling=ScalingSpec(policy="fixed"),
        queue=QueueSpec(),
    )
    return replace(spec, models=(replace(models[name], pool=pool),))


def _fit(bench: "_Bench", model: ModelSpec) -> Fit:
    if len(bench.served) < SERVED_MIN:
        text = f"only {len(bench.served)} requests were answered in time; a profile needs {SERVED_MIN}"
        raise UpstreamError(f"{text}. Give it longer with --seconds. {bench.trouble}".strip())
    return fit_slots(bench.served, model.pool.slots)


class _Bench:
    """Sends requests of all sizes to one replica and measures them. `now` reads the clock."""

    def __init__(self, agent: InferenceAgent, model: ModelSpec, now: Callable[[], float]) -> None:
        self.served: list[Served] = []
        self.trouble = ""
        self.tell: Callable[[], None] = lambda: None
        self._agent = agent
        self._now = now
        self._words_max = int(model.agent.context_tokens * CONTEXT_SHARE / 1.5)
        self._chance = random.Random(1)  # noqa: S311 - sizes and words, not a secret

    async def crowd(self, clients: int, until: float) -> None:
        """Keep so many clients asking, one request after the other, until an instant."""
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(self._client(number, until))

    async def _client(self, number: int, until: float) -> None:
        for words, tokens in _sizes(number):
            if self._now() >= until:
                return
            try:
                await self.ask(min(words, self._words_max), tokens)
            except ToqueError as error:  # the others go on; too few answers are told with it
                self.trouble = error.message
                return
            self.tell()

    async def ask(self, words: int, tokens: int) -> None:
        """Ask once. Raises `ToqueError` as the agent does."""
        began = self._now()
        first_at: float | None = None
        usage: Usage | None = None
        async with aclosing(self._agent.stream(self._context(words, tokens))) as deltas:
            async for delta in deltas:
                first_at = first_at or self._now()
                usage = delta.usage or usage
        if first_at is not None and usage is not None:
            self.served.append(Served(usage.prompt_tokens, usage.completion_tokens, began, first_at, self._now()))

    def _context(self, words: int, tokens: int) -> PromptContext:
        """Make a prompt that no cache has seen: its first word is drawn, too."""
        text = " ".join(self._chance.choices(WORDS, k=words))
        sampling = SamplingParameters(temperature=1.0, max_tokens=tokens, seed=self._chance.randrange(2**31))
        return PromptContext((Message("user", f"{text}. Write a long story with these words."),), sampling=sampling)


def _sizes(number: int) -> Iterator[tuple[int, int]]:
    """All sizes over and over, each client from another place on."""
    grid = [(words, tokens) for words in PROMPT_WORDS for tokens in OUTPUT_TOKENS]
    start = number * 2 % len(grid)
    return cycle(grid[start:] + grid[:start])
