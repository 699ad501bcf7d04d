"""What the stories of drivers are told with: a driver at work, what it reports, and waiting for that within a bound."""

import asyncio
import os
import select
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from toque.drivers.process import ProcessDriver
from toque.drivers.site import Site
from toque.model.agent_spec import AgentSpec, ModelSpec, Secret
from toque.model.messages import Event
from toque.model.spec import PoolSpec, ReplicaBounds
from toque.ports import CHILD_SECRET, Launch

ROOT = Path(__file__).parents[2]
BOUND_S = 30.0
_T = TypeVar("_T", bound=Event)


class Reports:
    """Every event in order, and a way to wait for one."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.progress: list[tuple[int, float]] = []
        self._news = asyncio.Event()

    def take(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    def advance(self, replica_id: int, ratio: float) -> None:
        self.progress.append((replica_id, ratio))

    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    async def first(self, kind: type[_T]) -> _T:
        """Return the first event of a kind, waiting for it if need be."""
        async with asyncio.timeout(BOUND_S):
            while True:
                for event in self.events:
                    if isinstance(event, kind):
                        return event
                self._news.clear()
                await self._news.wait()


class Bench:
    """One process driver and its reports."""

    def __init__(self, state_dir: Path, *behaviours: str) -> None:
        self.reports = Reports()
        self.secrets: list[Secret] = []
        self.argv = (sys.executable, "-m", "tests.drivers.child_server", *behaviours)
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "OPENAI_API_KEY": "sk-CANARY"}
        self.memory_kills = 0
        self.notices: list[str] = []
        site = Site(
            self.reports.take,
            self.reports.advance,
            self._launch,
            lambda _: None,
            environment,
            state_dir,
            lambda: self.memory_kills,
            self.notices.append,
        )
        self.driver = ProcessDriver(site)

    def _launch(self, _: ModelSpec, secret: Secret) -> Launch | None:
        self.secrets.append(secret)
        return Launch(self.argv, {CHILD_SECRET: secret.reveal()}) if self.argv else None


def model(startup_timeout_s: float = 20.0, health_interval_s: float = 0.05, threads: int = 2) -> ModelSpec:
    """A model called chat."""
    pool = PoolSpec("chat", replicas=ReplicaBounds(startup_timeout_s=startup_timeout_s))
    return ModelSpec(pool, AgentSpec(health_interval_s=health_interval_s, threads=threads))


@asynccontextmanager
async def bench(state_dir: Path, *behaviours: str) -> AsyncIterator[Bench]:
    """A driver whose children behave like that; closed at the end."""
    made = Bench(state_dir, *behaviours)
    try:
        yield made
    finally:
        await made.driver.close()


async def has_ended(pid: int) -> bool:
    """Wait for the end of any process, within a bound."""

    def wait() -> bool:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        try:
            return bool(poll.poll(BOUND_S * 1000))
        finally:
            os.close(fd)

    return await asyncio.to_thread(wait)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition that nobody announces, within a bound."""
    async with asyncio.timeout(BOUND_S):
        while not holds():
            await asyncio.to_thread(select.select, [], [], [], 0.01)
