"""A reign: what a controller has while it leads. The fleet that ModelPools say, the watch over these, their status, the gateways.

Law: it begins with all pools there are, so that replicas of a predecessor find theirs; it ends at once, and takes no replica along.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace

from toque.app.fleet import OpenFleet, open_fleet
from toque.app.hosting import lending, open_hosting
from toque.app.lineup import Announce
from toque.app.reconciler import Reconciler, vet
from toque.drivers.site import Site
from toque.kube.connection import Client, open_client
from toque.kube.gateway_pods import PodCensus
from toque.kube.model_pools import ModelPools, owner_of
from toque.kube.trouble import TROUBLE, Backoff, explain, is_gone
from toque.model.agent_spec import ModelSpec
from toque.model.announcement import Announcement, ModelFailed, Turned
from toque.model.cluster import ReplicasAdopted
from toque.model.errors import ConfigError, ToqueError
from toque.model.resources import Resources
from toque.model.service_spec import ServiceSpec
from toque.model.view import FleetView
from toque.operator.election import Election
from toque.operator.informer import Informer
from toque.operator.roll import Roll
from toque.operator.scribe import Scribe, Subject
from toque.ports import ReplicaStatus
from toque.records.explain import Explainer, Explanation

ROLL_CALL_S = 300.0
"""Between two comparisons with all ModelPools there are: what a watch never told is found out then."""


class Reign:
    """`election` is set before it is opened; `clock` is the wall clock, for people. `fleet` is there while we lead; `trouble` is why we cannot rule though elected."""

    election: Election

    def __init__(self, spec: ServiceSpec, clock: Callable[[], float], announce: Announce) -> None:
        self._spec = spec
        self._clock = clock
        self._announce = announce
        self._loop = asyncio.get_running_loop()
        self._leads = asyncio.Event()
        self._backoff = Backoff(asyncio.Event())
        self._task: asyncio.Task[None] | None = None
        self._rule: asyncio.Task[None] | None = None
        self._scribe: Scribe | None = None
        self._decided: list[Callable[[], None]] = []
        self.fleet: OpenFleet | None = None
        self._is_closing = False
        self.trouble = ""

    def turned(self, is_leading: bool) -> None:  # noqa: FBT001 - the shape that a candidate calls
        """We begin to lead, or cease to: then nothing is decided from here on, and all that we opened is closed."""
        if is_leading:
            self._leads.set()
            return
        self._leads.clear()
        if self.fleet is not None:
            self.fleet.controller.halt()
        if self._rule is not None:
            self._rule.cancel()
        if not self._is_closing:
            self._announce(Turned(is_leading=False, reason=self.election.trouble))

    def open(self) -> None:
        """Begin to wait for our turn."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Rule no more."""
        self._is_closing = True
        if self.fleet is not None:
            self.fleet.controller.halt()
        tasks = [task for task in (self._task, self._rule) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def announce(self, decided: Callable[[], None]) -> None:
        """Learn whom to tell that there is a new decision, or that we decide no more."""
        self._decided.append(decided)

    def may_write(self) -> bool:
        """Whether the cluster is ours to change now: whoever slept beyond its time finds out here."""
        return self._loop.time() < self.election.until

    # ---- what people see

    @property
    def is_well(self) -> bool:
        """Whether we do our part: the fleet is open where we lead, else we know who does."""
        return self.fleet is not None if self.election.is_leading else bool(self.election.holder)

    def view(self) -> FleetView:
        """The fleet, empty while we do not lead, and who leads."""
        nothing = FleetView(self._loop.time(), False, Resources(), Resources(), ())  # noqa: FBT003 - it does not drain
        return replace(self.fleet.controller.view() if self.fleet is not None else nothing, leader=self._leader())

    def status(self, replica_id: int) -> ReplicaStatus:
        """What the driver knows of a replica."""
        return self.fleet.controller.status(replica_id) if self.fleet is not None else ReplicaStatus()

    def why(self, subject: str) -> Explanation | None:
        """A pool's last decisions; None for what nothing is remembered of."""
        if self.fleet is None:
            return None
        models = self.fleet.models
        return Explainer(self.fleet.ring.steps, lambda: set(models), lambda _: None).why(subject)

    def _leader(self) -> str:
        """Say who leads: 1. we do; 2. another one does; 3. nobody, as far as we know."""
        election = self.election
        if election.is_leading:  # 1
            return f"{election.name} leads, and answers here" + (f"; {self.trouble}" if self.trouble else "")
        because = f" ({election.trouble})" if election.trouble else ""
        if election.holder and election.holder != election.name:  # 2
            return f"{election.holder} leads{because}; {election.name} answers here, and stands ready"
        return f"nobody leads{because}; {election.name} answers here, and stands ready"  # 3

    # ---- its course

    async def _run(self) -> None:
        """Rule whenever we lead; what fails is tried again, later each time, for as long as we do."""
        while True:
            await self._leads.wait()
            self._rule = asyncio.create_task(self._reign())
            await asyncio.wait((self._rule,))
            error = None if self._rule.cancelled() else self._rule.exception()
            if not isinstance(error, Exception):
                continue
            self.trouble = self._told(error)
            self._announce(Turned(is_leading=False, reason=self.trouble))
            await self._backoff.pause(error)

    def _told(self, error: Exception) -> str:
        """Say why a reign ended: 1. something a person can mend; 2. the cluster; 3. a bug of ours, which is told as such."""
        if isinstance(error, ToqueError):  # 1
            return error.message
        if isinstance(error, TROUBLE):  # 2
            return explain(error)
        self._loop.call_exception_handler({"message": "A reign failed", "exception": error})
        return f"toque itself failed ({type(error).__name__})"  # 3

    async def _reign(self) -> None:
        spec = self._spec
        roll = Roll(lending(spec), vet)
        async with AsyncExitStack() as stack:
            client = open_client(spec.kubernetes, os.environ, self.may_write)
            stack.push_async_callback(client.close)
            pools = ModelPools(client, spec.kubernetes.fleet)
            informer = Informer(spec.kubernetes, client.namespace, os.environ)
            stack.push_async_callback(informer.close)
            roll.call(await self._all(pools))
            fleet = await stack.enter_async_context(self._open_fleet(roll))
            await stack.enter_async_context(self._open_hosting(fleet, client))
            stack.callback(informer.stop)
            reconciler = Reconciler(roll, fleet, pools, self._announce)
            steps = lambda: fleet.controller.steps  # noqa: E731
            subject = Subject(roll, fleet.controller.view, steps, spec.kubernetes.fleet, self._clock)
            self._scribe = Scribe(subject, pools, reconciler.look)
            informer.open(reconciler.see, reconciler.gone)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(reconciler.run())
                tasks.create_task(self._scribe.run())
                tasks.create_task(self._call_rolls(pools, reconciler))
                self.trouble = ""
                self._backoff.reset()
                self._announce(Turned(is_leading=True))

    def _open_hosting(self, fleet: OpenFleet, client: Client) -> AbstractAsyncContextManager[object]:
        """Take gateways in while we lead, where there is a token to know them by."""
        census = PodCensus(client, self._spec.kubernetes.fleet)
        return open_hosting(fleet, self._spec.cluster, census, self.election.name)

    @asynccontextmanager
    async def _open_fleet(self, roll: Roll) -> AsyncGenerator[OpenFleet]:
        """Open the fleet of all pools there are, with as many replicas as whoever ruled before wanted last."""

        def owner(model: ModelSpec) -> Mapping[str, object] | None:
            entry = roll.entries.get(model.pool.name)
            return owner_of(entry.name, entry.uid) if entry is not None else None

        def adapt(site: Site) -> Site:
            return replace(site, owner=owner, may_write=self.may_write)

        async with open_fleet(roll.agree(), self._hear, adapt) as fleet:
            self.fleet = fleet
            for decided in self._decided:
                fleet.controller.announce(decided)
            try:
                for entry in roll.entries.values():
                    if entry.good is not None and entry.desired:
                        fleet.controller.post(ReplicasAdopted(entry.name, entry.desired))
                yield fleet
            finally:
                self.fleet = None
                for decided in self._decided:
                    decided()

    async def _all(self, pools: ModelPools) -> list[Mapping[str, object]]:
        try:
            return await pools.list()
        except TROUBLE as error:
            if not is_gone(error):
                raise
            raise ConfigError(
                "The cluster does not know what a ModelPool is.",
                fix="kubectl apply -f docs/reference/modelpool-crd.json",
            ) from error

    async def _call_rolls(self, pools: ModelPools, reconciler: Reconciler) -> None:
        never = asyncio.Event()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(ROLL_CALL_S):
                    await never.wait()
            with suppress(*TROUBLE):
                reconciler.call(await pools.list())

    def _hear(self, announcement: Announcement) -> None:
        if isinstance(announcement, ModelFailed) and self._scribe is not None:
            self._scribe.failed(announcement.model, announcement.reason)
        self._announce(announcement)
