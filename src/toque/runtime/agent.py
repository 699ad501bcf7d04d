"""The pooled agent: the inference contract over a whole pool, in process, without HTTP.

Law: it waits, scales, retries and is refused exactly as a request through the gateway, for it posts the same events.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeAlias, TypeVar

from toque.model.endpoint import Endpoint
from toque.model.errors import CallerError, RefusedError, UpstreamError
from toque.model.inference import Completion, Delta, PromptContext, Usage
from toque.model.messages import Abandoned, Began, Failed, Finished
from toque.model.ticket import FailureKind, FallbackCause, RefusalReason, ServiceClass, Ticket
from toque.ports import InferenceAgent
from toque.runtime.controller import Controller

Connect: TypeAlias = Callable[[str, int, Endpoint], InferenceAgent]
"""Returns the contract over one replica, given its pool, its number and where it is."""

_T = TypeVar("_T")


class PreemptedError(Exception):
    """The slot was taken away; another grant follows."""


class Turn:
    """Waits for one ticket's grant; a retry grants again. `pool` is whose replica it will be."""

    def __init__(self, pool: str) -> None:
        self.pool = pool
        self._loop = asyncio.get_running_loop()
        self._granted: asyncio.Future[int] = self._loop.create_future()
        self._hold: asyncio.Timeout | None = None
        self._is_preempted = False

    def granted(self, replica_id: int, cold_start_s: float) -> None:
        """A slot is ours."""
        if not self._granted.done():
            self._granted.set_result(replica_id)

    def diverted(self, pool: str, cause: FallbackCause) -> None:
        """Another model is to answer."""
        self.pool = pool

    def seconded(self, replica_id: int) -> None:
        """Nothing: a ticket of this kind asks for no second replica."""

    def preempted(self) -> None:
        """The slot is somebody else's: end the call that is under way."""
        self._is_preempted = True
        self.renew()
        if self._hold is not None:
            self._hold.reschedule(self._loop.time())

    def refused(self, reason: RefusalReason, retry_after_s: float, fallback: str) -> None:
        """There will be none."""
        if not self._granted.done():
            self._granted.set_exception(RefusedError(reason, retry_after_s, fallback))

    def renew(self) -> None:
        """Get ready for the next grant, before the failure is posted."""
        self._granted = self._loop.create_future()

    async def replica(self) -> int:
        """Wait for the grant. Raises `RefusedError`."""
        replica_id = await self._granted
        while self._is_preempted:  # before we came to know of the grant
            self._is_preempted = False
            replica_id = await self._granted
        return replica_id

    async def held(self, call: Awaitable[_T]) -> _T:
        """Wait for a call on the replica. Raises `PreemptedError`, and what the call raises."""
        try:
            async with asyncio.timeout(None) as self._hold:
                answer = await call
            if not self._is_preempted:
                return answer
        except (TimeoutError, UpstreamError):
            if not self._is_preempted:
                raise
        finally:
            self._hold = None
        self._is_preempted = False
        raise PreemptedError


class PooledAgent:
    """An `InferenceAgent` whose replicas are the pool's, or one's of its `fallbacks`."""

    def __init__(self, pool: str, controller: Controller, connect: Connect, fallbacks: tuple[str, ...] = ()) -> None:
        self._pool = pool
        self._fallbacks = fallbacks
        self._controller = controller
        self._connect = connect

    async def generate(self, context: PromptContext) -> Completion:
        """Answer in one piece. Raises `RefusedError`, `UpstreamError` or `CallerError`."""
        async with _Visit(self._controller, self._connect, self._ticket(context)) as visit:
            while True:
                agent = await visit.agent()
                try:
                    completion = await visit.turn.held(agent.generate(context))
                except PreemptedError:
                    continue
                except UpstreamError as error:
                    visit.failed(error)
                    continue
                visit.finished(completion.usage)
                return replace(completion, fallback=visit.fallback)

    async def stream(self, context: PromptContext) -> AsyncGenerator[Delta, None]:
        """Answer piece by piece. A loss before the first piece is retried, later ones raise `UpstreamError`.

        Nor is the slot of a batch request taken away after it.
        """
        async with _Visit(self._controller, self._connect, self._ticket(context)) as visit:
            while not visit.is_over:
                agent = await visit.agent()
                try:
                    async with aclosing(agent.stream(context)) as deltas:
                        delta = await visit.turn.held(anext(deltas, None))
                        while delta is not None:
                            visit.began(delta.usage)
                            yield replace(delta, fallback=visit.fallback) if delta.usage else delta
                            delta = await anext(deltas, None)
                    visit.finished(visit.usage)
                except PreemptedError:
                    continue
                except UpstreamError as error:
                    visit.failed(error)

    def _ticket(self, context: PromptContext) -> Ticket:
        return Ticket(
            id=self._controller.next_ticket_id(),
            pool=self._pool,
            deadline=self._controller.now() + context.timeout_s,
            service_class=context.service_class,
            tenant=context.tenant,
            fallbacks=self._fallbacks,
        )


class _Visit:
    """One request's stay in the pool: however it is left, its slot is given back."""

    def __init__(self, controller: Controller, connect: Connect, ticket: Ticket) -> None:
        self._controller = controller
        self._connect = connect
        self._ticket = ticket
        self.turn = Turn(ticket.pool)
        self._dispatched_at = 0.0
        self._first_at: float | None = None
        self.usage = Usage()
        self.is_over = False

    async def __aenter__(self) -> Self:
        self._controller.submit(self._ticket, self.turn)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_over or isinstance(error, RefusedError):
            return
        if isinstance(error, CallerError):  # the replica did its part: it said no
            self.finished(Usage())
        else:
            self._controller.post(Abandoned(self._ticket.id))

    @property
    def fallback(self) -> str:
        """The model that answers instead of the one asked; empty when it is the one asked."""
        return "" if self.turn.pool == self._ticket.pool else self.turn.pool

    async def agent(self) -> InferenceAgent:
        """Wait for a replica and return the contract over it. Raises `RefusedError`."""
        while True:
            replica_id = await self.turn.replica()
            self._dispatched_at = self._controller.now()
            endpoint = self._controller.endpoint(replica_id)
            if endpoint is not None:
                return self._connect(self.turn.pool, replica_id, endpoint)
            self._fail(FailureKind.NOT_SENT, 0.0)

    def began(self, usage: Usage | None) -> None:
        """A piece of the answer came."""
        if self._first_at is None:
            self._first_at = self._controller.now()
            if self._ticket.service_class is ServiceClass.BATCH:
                self._controller.post(Began(self._ticket.id))
        if usage is not None:
            self.usage = usage

    def finished(self, usage: Usage) -> None:
        """The answer is complete."""
        self.is_over = True
        first_at = self._first_at or self._controller.now()
        self._controller.post(
            Finished(self._ticket.id, first_at - self._dispatched_at, usage.prompt_tokens, usage.completion_tokens)
        )

    def failed(self, error: UpstreamError) -> None:
        """The replica failed: hope for another one if nothing was answered yet, else raise the error on."""
        if self._first_at is not None:
            self.is_over = True
            self._controller.post(Failed(self._ticket.id, error.kind, began=True))
            raise error
        self._fail(error.kind, error.retry_after_s)

    def _fail(self, kind: FailureKind, retry_after_s: float) -> None:
        self.turn.renew()
        self._controller.post(Failed(self._ticket.id, kind, retry_after_s=retry_after_s))
