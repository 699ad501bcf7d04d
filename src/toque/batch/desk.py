"""The desk: takes batches in, runs their items, and closes them, beside whatever else the service does.

Law: one task owns the store's work and ends with the desk; the store is only touched on a thread of its own. What is
cut off in the middle, also by SIGKILL, goes on where the store says.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

from toque.batch.claims import ClaimLostError
from toque.batch.closing import close_batch
from toque.batch.database import StoreError
from toque.batch.files import FileShelf
from toque.batch.identity import new_id
from toque.batch.intake import Intake, IntakeLimits
from toque.batch.jobs import JobStore
from toque.batch.rows import ItemState, Outcome
from toque.batch.verdict import judge
from toque.model.batch import Answer, Batch, BatchStatus, Claim, Item, Lease, LineError, StoredFile
from toque.model.errors import InternalError

LOOK_EACH_S = 5.0
"""Between looks at the store while nothing happens here: what falls due by time, and what other gateways accepted."""
SWEEP_EACH_S = 600
"""Between looks for files whose time is over."""
ITEMS_AT_ONCE = 500
"""Items of an input that go into the store with one commit."""

BATCHES_WAITING = 8
"""So many times `waiting_max` is what all batches together may have waiting: half of a line of the usual length."""

UNFORESEEN = Answer(
    500, b'{"error":{"message":"The server failed.","type":"api_error","param":null,"code":"internal_error"}}'
)

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Inference(Protocol):
    """The gateway, as the desk uses it."""

    def check(self, tenant: str, endpoint: str, body: bytes) -> None:
        """Look at a request's body. Raises `CallerError` for one that would be refused."""
        ...

    def answer(
        self, tenant: str, endpoint: str, body: bytes, placed: Callable[[], None], displaced: Callable[[], None]
    ) -> Coroutine[None, None, Answer]:
        """Run a request of class batch to its end. Cancelling it closes the upstream call.

        `placed` is called when it gets a slot, `displaced` when it loses it to somebody who waits; it gets another.
        """
        ...


class Desk:
    """Runs items beside people.

    It takes on only what finds a slot and a few more: `waiting_max` of each batch, so that the fleet's line holds nothing it
    would refuse, and a backlog of any length stays in the store. `in_flight_max` bounds all that is under way.
    """

    def __init__(
        self, store: JobStore, shelf: FileShelf, inference: Inference, *, in_flight_max: int, waiting_max: int
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._inference = inference
        self._in_flight_max = in_flight_max
        self._waiting_max = waiting_max
        self._holder = new_id("batch")
        self._look_each_s = min(LOOK_EACH_S, store.lease_s / 3)
        self._swept_at = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="toque-batch")
        self._changed = asyncio.Event()
        self._under_way: dict[asyncio.Task[Answer], Lease] = {}
        self._waiting: dict[str, set[int]] = {}
        """Batch -> lines of its items that have no slot."""
        self._outcomes: list[Outcome] = []
        self._task: asyncio.Task[None] | None = None
        self._turned = asyncio.Event()
        self._is_closing = False
        self.trouble = ""
        """Why nothing moves, in words; empty while it does."""

    def open(self) -> None:
        """Begin to work."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop; items under way are put back, so that whoever comes next takes them at once."""
        self._is_closing = True
        self._changed.set()
        if self._task is not None:
            await self._task  # not cancelled: a turn that has leased items must hand them over
        under_way = dict(self._under_way)
        self._under_way.clear()
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        rest = [Outcome(lease, ItemState.WAITING, counts=False) for lease in under_way.values()]
        with suppress(StoreError):  # then the leases run out by themselves
            await self.off_loop(self._store.items.settle, [*self._outcomes, *rest])
        self._thread.shutdown()

    def look(self) -> None:
        """Something was accepted or cancelled: see to it now."""
        self._changed.set()

    async def next_turn(self) -> None:
        """Wait until it has looked at the store once more."""
        await self._turned.wait()

    async def off_loop(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Do what blocks on the store's own thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))

    def soon(self, work: Callable[[], None]) -> None:
        """Do what blocks, and what nobody waits for: what cannot be done is left to the next sweep."""
        self._thread.submit(work)

    # ---- its task

    async def _run(self) -> None:
        """Look at the store whenever something changed; one that cannot be used now keeps everything until it can (B03)."""
        while True:
            self._changed.clear()
            if self._is_closing:
                return
            settled = list(self._outcomes)
            try:
                await self._renew()
                leases = await self.off_loop(self._turn, settled, self._room(), self._waiting_of())
            except StoreError as error:
                self.trouble = error.message
            except Exception as error:  # a bug of ours: told, and tried again, for nobody's jobs shall stop in silence
                self.trouble = "The job store was used in a wrong way; the log says more."
                context = {"message": "A look at the job store failed in an unforeseen way", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)
            else:
                self.trouble = ""
                del self._outcomes[: len(settled)]
                for lease in leases:
                    self._begin(lease)
            self._turned.set()
            self._turned = asyncio.Event()
            again = [outcome.after_s for outcome in settled if outcome.state is ItemState.WAITING]
            with suppress(TimeoutError):
                async with asyncio.timeout(min([self._look_each_s, *again])):
                    await self._changed.wait()

    def _room(self) -> int:
        """How many items more may be under way."""
        waiting = sum(map(len, self._waiting.values()))
        return min(self._in_flight_max - len(self._under_way), BATCHES_WAITING * self._waiting_max - waiting)

    def _waiting_of(self) -> dict[str, int]:
        return {batch_id: len(lines) for batch_id, lines in self._waiting.items()}

    def _turn(self, outcomes: list[Outcome], room: int, waiting: Mapping[str, int]) -> list[Lease]:
        """One look at the store: settle, validate, close, and take on as much as there is room for. Blocks."""
        if outcomes:
            self._store.items.settle(outcomes)
        self._sweep()
        for batch in self._store.in_status(BatchStatus.VALIDATING):
            self._move(batch, self._validate)
        self._store.advance()
        for batch in self._store.in_status(BatchStatus.FINALIZING):
            self._move(batch, self._close)
        for batch in self._store.in_status(BatchStatus.CANCELLING):
            if not self._store.items.is_at_work(batch.id):
                self._move(batch, self._close)
        leases: list[Lease] = []
        for batch in self._store.in_status(BatchStatus.IN_PROGRESS) if room > 0 else ():
            few = min(room - len(leases), self._waiting_max - waiting.get(batch.id, 0))
            leases += self._store.items.lease([batch], few) if few > 0 else []
        return leases

    def _sweep(self) -> None:
        if self._store.now() >= self._swept_at + SWEEP_EACH_S:
            self._swept_at = self._store.now()
            self._shelf.sweep()

    def _move(self, batch: Batch, move: Callable[[Claim], None]) -> None:
        """Move a batch on, unless another gateway is about to, or does it after we took too long."""
        claim = self._store.claims.take(batch.id, batch.status, self._holder)
        if claim is not None:
            with suppress(ClaimLostError):
                move(claim)
                self._store.claims.release(claim)

    def _close(self, claim: Claim) -> None:
        close_batch(self._store, self._shelf, claim)

    def _validate(self, claim: Claim) -> None:
        """Turn an input into items, or refuse the batch."""
        order = claim.batch.order
        stored = self._shelf.find(order.tenant, order.input_file_id)
        if stored is None:
            self._store.refuse(claim, [LineError("file_not_found", "The input file is not there any more.")])
            return
        intake = Intake(
            order.endpoint, lambda body: self._inference.check(order.tenant, order.endpoint, body), IntakeLimits()
        )
        try:
            self._take_in(claim, intake, stored)
        except InternalError as error:  # the file is not what was stored
            self._store.refuse(claim, [LineError(error.code, error.message)])

    def _take_in(self, claim: Claim, intake: Intake, stored: StoredFile) -> None:
        self._store.items.begin(claim)
        held: list[Item] = []
        for item in intake.items(self._shelf.read(stored)):
            held.append(item)
            if len(held) == ITEMS_AT_ONCE:
                self._store.items.add(claim, held)
                held = []
        self._store.items.add(claim, held)
        if intake.errors:
            self._store.refuse(claim, intake.errors)
        else:
            self._store.accept(claim, intake.count, intake.model)

    # ---- items

    def _begin(self, lease: Lease) -> None:
        self._displaced(lease)
        placed, displaced = partial(self._placed, lease), partial(self._displaced, lease)
        answer = self._inference.answer(lease.tenant, lease.endpoint, lease.item.body, placed, displaced)
        task = asyncio.get_running_loop().create_task(answer)
        self._under_way[task] = lease
        task.add_done_callback(self._ended)

    def _displaced(self, lease: Lease) -> None:
        """An item waits for a slot."""
        self._waiting.setdefault(lease.batch_id, set()).add(lease.item.line)

    def _placed(self, lease: Lease) -> None:
        """An item waits no longer; when few of its batch do, more are taken on."""
        lines = self._waiting.get(lease.batch_id, set())
        lines.discard(lease.item.line)
        if not lines:
            self._waiting.pop(lease.batch_id, None)
        if 2 * len(lines) <= self._waiting_max:
            self._changed.set()

    def _ended(self, task: "asyncio.Task[Answer]") -> None:
        """An item is done, or was taken from us."""
        lease = self._under_way.pop(task, None)
        if lease is None or task.cancelled():
            return
        self._placed(lease)
        failure = task.exception()
        if failure is not None:  # a bug of ours; the item is not lost, and not tried for ever
            context = {"message": "An item of a batch failed in an unforeseen way", "exception": failure, "task": task}
            task.get_loop().call_exception_handler(context)
        self._outcomes.append(judge(lease, UNFORESEEN if failure is not None else task.result()))
        self._changed.set()

    async def _renew(self) -> None:
        """Keep the leases of what takes long; what was lost is stopped, for somebody else runs it."""
        short = [(task, lease) for task, lease in self._under_way.items() if self._store.items.is_short(lease)]
        if not short:
            return
        renewed = await self.off_loop(self._store.items.renew, [lease for _, lease in short])
        kept = {(lease.batch_id, lease.item.line): lease for lease in renewed}
        for task, lease in short:
            longer = kept.get((lease.batch_id, lease.item.line))
            if longer is not None and task in self._under_way:
                self._under_way[task] = longer
            elif longer is None:
                self._under_way.pop(task, None)
                self._placed(lease)
                task.cancel()
