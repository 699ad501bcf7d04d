"""A candidate: stands for election with a Lease of the cluster, and says when it leads and when it does no more.

Law: one call at a time, and none outlives the time in which its answer could matter. What the election says is told before
anything else happens; who was told that it leads no more has stopped deciding when `turned` returns.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from toque.kube.trouble import TROUBLE, explain, is_conflict
from toque.model.cluster import Claim
from toque.model.cluster_spec import ClusterSpec
from toque.operator.election import Ask, Election

RESIGN_S = 2.0
"""Giving the record back may take this long; without it, the next one leads when its time is over."""

TRIES = 3
"""How often a leader can ask in vain before its time is over."""


class Record(Protocol):
    """Where it stands who leads. Both raise one of `kube.trouble.TROUBLE`."""

    async def look(self) -> Claim | None:
        """Return what it says; None: it is not there."""
        ...

    async def write(self, holder: str, lease_s: int, seen: Claim | None) -> str:
        """Make it somebody's, if it is as it was seen; returns its new mark."""
        ...


class Candidate:
    """`turned` is called whenever we begin or cease to lead; it may not wait, and not raise."""

    def __init__(self, name: str, spec: ClusterSpec, record: Record, turned: Callable[[bool], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._spec = spec
        self._record = record
        self._turned = turned
        self._led = False
        self._task: asyncio.Task[None] | None = None
        self.election = Election(name, spec, self._loop.time())

    def open(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._stand())

    async def close(self) -> None:
        """Lead no more, and give the record back: another one need not wait for its time to pass."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.election.resign()
        self._tell()
        with suppress(TimeoutError, *TROUBLE):
            async with asyncio.timeout(RESIGN_S):
                claim = await self._record.look()  # what was under way may have come true
                if claim is not None and claim.holder == self.election.name:
                    await self._record.write("", self._spec.lease_s, claim)

    async def _stand(self) -> None:
        never = asyncio.Event()
        while True:
            ask = self.election.wake(self._loop.time())
            self._tell()
            if ask is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(self.election.next_at):
                        await never.wait()
            else:
                await self._ask(ask)
                self._tell()

    async def _ask(self, ask: Ask) -> None:
        election, asked_at = self.election, self._loop.time()
        latest = asked_at + self._spec.renew_s_max / TRIES
        try:
            async with asyncio.timeout_at(min(latest, election.until) if election.is_leading else latest):
                if ask is Ask.LOOK:
                    election.heard(await self._record.look(), self._loop.time())
                else:
                    mark = await self._record.write(election.name, self._spec.lease_s, election.claim)
                    election.written(mark, asked_at, self._loop.time())
        except TimeoutError:
            election.unanswered("the API server does not answer in time", self._loop.time())
        except TROUBLE as error:
            if is_conflict(error):
                election.outrun(self._loop.time())
            else:
                election.unanswered(explain(error), self._loop.time())
        except Exception as error:  # a bug of ours may cost a reign, and never leave one that nobody ends
            election.unanswered(f"toque itself failed ({type(error).__name__})", self._loop.time())
            self._loop.call_exception_handler({"message": "A candidate failed", "exception": error})

    def _tell(self) -> None:
        if self.election.is_leading != self._led:
            self._led = self.election.is_leading
            self._turned(self._led)
