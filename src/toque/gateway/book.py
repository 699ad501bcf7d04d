"""The book: what tenants used today, on its way between this gateway and the store.

Law: the event loop never waits for the store, and one writing at a time is under way. A kill loses no more of the count than
what was used within `SAVE_EACH_S`; what a full disk refuses is kept, and goes with the next writing.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import reduce

from toque.core.account import NOTHING
from toque.model.usage import Use
from toque.ports import UsageStore

SAVE_EACH_S = 1.0


class Book:
    """Without a store it remembers until the process ends. `day` is counted since 1970."""

    def __init__(self, store: UsageStore | None) -> None:
        self._store = store
        self._day = 0
        self._written: Mapping[str, Use] = {}
        self._on_the_way: Mapping[str, Use] = {}
        self._unwritten: dict[str, Use] = {}
        self._writing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def open(self, day: int) -> None:
        """Learn what was used on this day before. Raises `OSError` for a store that cannot be used."""
        self._day = day
        if self._store is not None:
            self._written = await asyncio.to_thread(self._store.add, day, {})

    def total(self, tenant: str, day: int) -> Use:
        """What a tenant has used on a day, through all gateways of the store as far as it is known."""
        if day != self._day:
            return NOTHING
        parts = (self._written, self._on_the_way, self._unwritten)
        return reduce(Use.plus, (part[tenant] for part in parts if tenant in part), NOTHING)

    def add(self, tenant: str, day: int, used: Use) -> None:
        """A tenant has used this."""
        if day != self._day:
            self._day, self._written, self._on_the_way, self._unwritten = day, {}, {}, {}
        self._unwritten[tenant] = self._unwritten.get(tenant, NOTHING).plus(used)
        self._write_later()

    async def close(self) -> None:
        """Write down what is not yet: what is under way first, then the rest."""
        self._closing.set()
        for _ in range(2):
            self._write_later()
            if self._writing is not None:
                await self._writing

    def _write_later(self) -> None:
        if self._unwritten and self._writing is None and self._store is not None:
            self._writing = asyncio.get_running_loop().create_task(self._write(self._store))

    async def _write(self, store: UsageStore) -> None:
        """Write what has come together after a while, and once more what came meanwhile."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SAVE_EACH_S):
                await self._closing.wait()
        day, uses = self._day, self._unwritten
        self._on_the_way, self._unwritten = uses, {}
        try:
            written = await asyncio.to_thread(store.add, day, uses)
        except OSError:
            written = None
        self._writing = None
        self._write_later()
        if day == self._day:
            self._take_over(uses, written)

    def _take_over(self, uses: Mapping[str, Use], written: Mapping[str, Use] | None) -> None:
        """The store has answered, or (None) has refused what was on the way to it."""
        self._on_the_way = {}
        if written is not None:
            self._written = written
            return
        for tenant, used in uses.items():
            self._unwritten[tenant] = self._unwritten.get(tenant, NOTHING).plus(used)
