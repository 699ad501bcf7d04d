"""A store with whoever works on it, and inference that answers what a story wants."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from toque.batch.database import Database
from toque.batch.desk import Desk
from toque.batch.files import FileShelf
from toque.batch.jobs import JobStore
from toque.model.batch import Answer, Batch, BatchOrder, BatchStatus, Purpose
from toque.model.errors import CallerError

CHAT = "/v1/chat/completions"
WAIT_S = 10.0
Reply = Callable[[str, int], Answer]


def say(text: str, _attempt: int) -> Answer:
    return Answer(200, json.dumps({"said": text}).encode(), "req-1")


class Clock:
    """The wall clock of a story."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


@dataclass
class ScriptedInference:
    """Answers each body's `say` by a function of it and of how often it was asked; `gate` holds all answers back."""

    reply: Reply = say
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: dict[str, int] = field(default_factory=dict)
    slots: int = 1000
    places: dict[str, tuple[Callable[[], None], Callable[[], None]]] = field(default_factory=dict)
    """Who got a slot, and what is called when that changes."""
    under_way: int = 0
    under_way_max: int = 0

    def check(self, _tenant: str, _endpoint: str, body: bytes) -> None:
        if b"say" not in body:
            raise CallerError("`say` is missing.", param="say")

    async def answer(
        self, _tenant: str, _endpoint: str, body: bytes, placed: Callable[[], None], displaced: Callable[[], None]
    ) -> Answer:
        text = json.loads(body)["say"]
        self.asked[text] = self.asked.get(text, 0) + 1
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)
        if self.under_way <= self.slots:
            self.places[text] = (placed, displaced)
            placed()
        try:
            await self.gate.wait()
            return self.reply(text, self.asked[text])
        finally:
            self.under_way -= 1


@dataclass
class House:
    """One store and whoever works on it."""

    database: Database
    clock: Clock

    def __post_init__(self) -> None:
        self.store = JobStore(self.database, self.clock)
        self.shelf = FileShelf(self.database, self.clock)
        self.inference = ScriptedInference()
        self.inference.gate.set()

    def order(self, *texts: str, window_s: int = 86_400, raw: bytes = b"") -> Batch:
        lines = [
            json.dumps({"custom_id": f"c-{text}", "method": "POST", "url": CHAT, "body": {"say": text}})
            for text in texts
        ]
        stored = self.shelf.put("ann", Purpose.BATCH, "in.jsonl", ["\n".join(lines).encode() + raw])
        return self.store.create(BatchOrder("ann", CHAT, stored.id, "24h", window_s))

    @asynccontextmanager
    async def desk(self, in_flight_max: int = 4, waiting_max: int = 4) -> AsyncGenerator[Desk, None]:
        desk = Desk(self.store, self.shelf, self.inference, in_flight_max=in_flight_max, waiting_max=waiting_max)
        desk.open()
        try:
            yield desk
        finally:
            await desk.close()

    async def seen(self, desk: Desk, batch: Batch, is_so: Callable[[Batch], bool], *, passes_s: float = 0.0) -> Batch:
        """Look at the batch until it is so; `passes_s` pass whenever nothing is under way."""
        async with asyncio.timeout(WAIT_S):
            while True:
                found = await desk.off_loop(self.store.find, "ann", batch.id)
                assert found is not None
                assert found.completed + found.failed <= max(found.total, 0)
                if is_so(found):
                    return found
                if not self.inference.under_way:
                    self.clock.now += passes_s
                desk.look()
                await asyncio.sleep(0)

    async def looked(self, desk: Desk, times: int) -> None:
        """Let it look at the store so many times."""
        async with asyncio.timeout(WAIT_S):
            for _ in range(times):
                desk.look()
                await desk.next_turn()

    def lines(self, file_id: str) -> list[dict[str, object]]:
        stored = self.shelf.find("ann", file_id)
        assert stored is not None
        return [json.loads(line) for line in b"".join(self.shelf.read(stored)).splitlines()]


def is_in(status: BatchStatus) -> Callable[[Batch], bool]:
    """Whether a batch is in a status, as `seen` wants it."""
    return lambda batch: batch.status is status
