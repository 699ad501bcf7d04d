"""Requests that come from inside: the items of batches, through the same door and relay as everybody's, without a socket.

Law: an item ends exactly once, as an answer; cancelling it closes the upstream call like a client that leaves.
"""

import asyncio
from collections.abc import Callable

from toque.gateway.batch_relay import BatchRelay
from toque.gateway.door import Door, name_request
from toque.gateway.errand import Errand
from toque.gateway.outlet import Outlet, Write
from toque.gateway.surroundings import Surroundings
from toque.model.batch import Answer
from toque.model.errors import CallerError, ToqueError
from toque.wire.errors import encode_error_body
from toque.wire.server import SWEEP_S

PREFIX = "/v1"
_NO_ROOM = frozenset({429, 503})


class Inside:
    """`parts` returns the door and the surroundings that hold now: a reload changes them."""

    def __init__(self, parts: Callable[[], tuple[Door, Surroundings]]) -> None:
        self._parts = parts
        self._relays: set[ItemRelay] = set()
        self._sweeping: asyncio.TimerHandle | None = None

    def check(self, tenant: str, endpoint: str, body: bytes) -> None:
        """Look at a request's body. Raises `CallerError` for one that would be refused."""
        door, _ = self._parts()
        door.look_at(tenant, endpoint.removeprefix(PREFIX), body)

    async def answer(
        self, tenant: str, endpoint: str, body: bytes, placed: Callable[[], None], displaced: Callable[[], None]
    ) -> Answer:
        """Run a request of class batch to its end; `placed` and `displaced` are called as it gets a slot and loses it."""
        door, around = self._parts()
        request_id = name_request({})
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        outlet = MemoryOutlet(request_id, done)
        try:
            errand = door.admit_item(tenant, endpoint.removeprefix(PREFIX), body, request_id, around.fleet.now())
        except ToqueError as error:
            outlet.fail(error)
            return done.result()
        relay = ItemRelay(around, errand, outlet, placed, displaced)
        self._relays.add(relay)
        self._sweep_later()
        relay.start()
        try:
            return await done
        except asyncio.CancelledError:
            relay.client_left()
            raise
        finally:
            self._relays.discard(relay)

    def _sweep_later(self) -> None:
        if self._relays and self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        """Let relays look at their timeouts, as the server's sweep does for those with a client."""
        self._sweeping = None
        for relay in list(self._relays):
            relay.tick()
        self._sweep_later()


class ItemRelay(BatchRelay):
    """Tells whoever has an item run when it gets a slot and when it loses it."""

    __slots__ = ("_displaced", "_placed")

    def __init__(
        self,
        around: Surroundings,
        errand: Errand,
        outlet: Outlet,
        placed: Callable[[], None],
        displaced: Callable[[], None],
    ) -> None:
        super().__init__(around, errand, outlet)
        self._placed = placed
        self._displaced = displaced

    def granted(self, replica_id: int, cold_start_s: float) -> None:
        """It has a slot."""
        self._placed()
        super().granted(replica_id, cold_start_s)

    def preempted(self) -> None:
        """It waits again."""
        super().preempted()
        self._displaced()


class MemoryOutlet(Outlet):
    """Keeps an answer instead of writing it; `done` gets it when it is whole, or the error instead."""

    __slots__ = ("_done", "_name", "_pieces", "has_begun")
    write_chunks: Write | None = None

    def __init__(self, request_id: bytes, done: "asyncio.Future[Answer]") -> None:
        self._name = request_id.decode("ascii")
        self._done = done
        self._pieces: list[bytes] = []
        self.has_begun = False

    def answer(self, content_type: bytes, fields: bytes, body: bytes) -> None:
        """Keep a whole answer."""
        self._tell(Answer(200, body, self._name))

    def begin(self, content_type: bytes, length: int | None, fields: bytes) -> None:
        """An answer begins; nobody reads its head."""
        self.has_begun = True

    def write(self, data: bytes) -> None:
        """Keep bytes of the body."""
        self._pieces.append(data)

    def end(self) -> None:
        """The body is complete."""
        self._tell(Answer(200, b"".join(self._pieces), self._name))

    def fail(self, error: ToqueError) -> None:
        """There is no answer; half of one is worth nothing."""
        is_capacity = error.status in _NO_ROOM and not isinstance(error, CallerError)
        body = encode_error_body(error)
        self._tell(Answer(error.status, body, self._name, is_capacity=is_capacity, retry_after_s=error.retry_after_s))

    def leave(self) -> None:
        """Whoever asked has gone."""

    def _tell(self, answer: Answer) -> None:
        if not self._done.done():
            self._done.set_result(answer)
