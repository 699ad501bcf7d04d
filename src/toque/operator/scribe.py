"""The scribe: writes what became of each pool into its ModelPool's status, and what a person should hear of as Events.

Law: it writes only what changed, at most so much a second, those who wait longest first; what cannot be written now is written
later, and nothing waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from toque.kube.model_pools import owner_of
from toque.kube.trouble import TROUBLE, Backoff, is_hopeless
from toque.model.view import FleetView, PoolView
from toque.operator.happenings import Happening, Happenings
from toque.operator.roll import Entry, Manifest, Roll
from toque.operator.status import is_same, status_of

BEAT_S = 1.0
"""Between two looks at the fleet: what changed meanwhile is one writing."""
WRITINGS_PER_BEAT_MAX = 10
"""Statuses and Events a second, all together: an API server gives its clients tens of calls a second."""


class Paper(Protocol):
    """Where it is written; see `kube.model_pools.ModelPools`."""

    async def tell(self, name: str, status: Manifest) -> None:
        """Write a status."""
        ...

    async def report(self, about: Manifest, kind: str, reason: str, message: str, now: float) -> None:
        """Add an Event."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """What is written about: who is on the roll, and what is seen of the fleet now. `clock` is the wall clock.

    `steps` is another number whenever there may be anything else to see.
    """

    roll: Roll
    view: Callable[[], FleetView]
    steps: Callable[[], int]
    fleet: str
    clock: Callable[[], float]


class Scribe:
    """`looked` is awaited with every view it takes, for whoever waits for something to come true."""

    def __init__(self, subject: Subject, paper: Paper, looked: Callable[[FleetView], Awaitable[None]]) -> None:
        self._subject = subject
        self._paper = paper
        self._looked = looked
        self._happenings = Happenings()
        self._backoff = Backoff(asyncio.Event())
        self._turn: list[str] = []
        """Names, those that were written longest ago first."""
        self._told: tuple[int, int] | None = None
        """Steps and changes of the roll of which all was told; None: not all was."""

    def failed(self, pool: str, reason: str) -> None:
        """A replica of a pool failed."""
        self._happenings.failed(pool, reason)
        self._told = None

    async def run(self) -> None:
        """Write until cancelled."""
        never = asyncio.Event()
        while True:
            try:
                await self._beat()
            except TROUBLE as error:
                await self._backoff.pause(error)
            else:
                self._backoff.reset()
                with suppress(TimeoutError):
                    async with asyncio.timeout(BEAT_S):
                        await never.wait()

    async def _beat(self) -> None:
        """Tell what is new: a thousand pools at rest cost no look."""
        now = (self._subject.steps(), self._subject.roll.changes)
        if now == self._told:
            return
        self._told = None
        view = self._subject.view()
        await self._looked(view)
        pools = {pool.name: pool for pool in view.pools}
        left = WRITINGS_PER_BEAT_MAX
        for entry in list(self._in_turn()):
            self._happenings.look(entry, pools.get(entry.name), view.now)
            left -= await self._tell(entry, pools.get(entry.name))
            for happening in self._happenings.due(entry.name, left):
                await self._report(entry, happening)
                left -= 1
            if left <= 0:
                return
            self._turn.remove(entry.name)
            self._turn.append(entry.name)
        if self._happenings.are_told:
            self._told = now

    def _in_turn(self) -> Iterator[Entry]:
        entries = self._subject.roll.entries
        self._turn = [name for name in self._turn if name in entries]
        known = set(self._turn)
        self._turn += [name for name in entries if name not in known]
        for name in list(self._turn):
            yield entries[name]

    async def _tell(self, entry: Entry, pool: PoolView | None) -> int:
        """Write a status if it is another; returns how many calls that took."""
        moment = datetime.fromtimestamp(self._subject.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        status = status_of(entry, pool, self._subject.fleet, moment)
        if is_same(entry.status, status):
            return 0
        try:
            await self._paper.tell(entry.name, status)
        except TROUBLE as error:
            if not is_hopeless(error):
                raise
        entry.status = status
        return 1

    async def _report(self, entry: Entry, happening: Happening) -> None:
        about: Mapping[str, object] = owner_of(entry.name, entry.uid)
        try:
            await self._paper.report(about, *happening, self._subject.clock())
        except TROUBLE as error:
            if not is_hopeless(error):
                raise
