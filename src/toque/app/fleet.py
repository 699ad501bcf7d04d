"""An open fleet: pools, queue, scaling and replicas of one configuration, in this process and without HTTP.

Law: what it opens it closes, in reverse order, also when opening fails half-way.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeAlias

from toque import __version__
from toque.app.lineup import Announce, Lineup, line_up, line_up_anew
from toque.app.plan import model_identity
from toque.app.plugins import Plugins
from toque.app.progress import Progress
from toque.app.state import state_dir
from toque.config.read import find_config, read_config
from toque.config.travel import replica_settings
from toque.drivers import open_driver
from toque.drivers.site import Site
from toque.model.agent_spec import ModelSpec
from toque.model.announcement import Assumed
from toque.model.endpoint import Endpoint
from toque.model.errors import CallerError
from toque.model.messages import SpecChanged
from toque.model.service_spec import ServiceSpec
from toque.ports import AgentKind, Dialect, Driver, InferenceAgent, Journal, ReplicaAgent
from toque.records.journal import Header, JournalFile, JournalRing
from toque.records.ledger import Ledger
from toque.runtime.agent import PooledAgent
from toque.runtime.controller import Controller

Adapt: TypeAlias = Callable[[Site], Site]
"""Says what is different where drivers work."""


class OpenFleet:
    """Made by `open_fleet`. `controller` is for those who serve it further; applications use `agent`.

    `lineup` is what is served now.
    """

    def __init__(
        self, lineup: Lineup, home: Path, ledger: Ledger, announce: Announce, stack: AsyncExitStack, adapt: Adapt
    ) -> None:
        self.lineup = lineup
        self._home = home
        self._ledger = ledger
        self._announce = announce
        self._plugins = Plugins(lineup.fleet)
        self._connected: dict[int, tuple[Endpoint, ReplicaAgent]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.ring = JournalRing(lineup.spec.records.journal_ring)
        progress = Progress(announce)
        born = asyncio.get_running_loop().time()
        self.controller = Controller(
            lineup.fleet,
            _journal(lineup.spec, self.ring, Header(__version__, born, lineup.fleet), stack),
            (ledger, progress),
            self._plugins.policies,
            self._plugins.routers,
            born=born,
        )
        self._followers: list[Callable[[Lineup], None]] = []
        self._drivers = _Drivers(adapt(self._site(progress, home)), lineup.spec.driver)

    @property
    def models(self) -> Mapping[str, ModelSpec]:
        """The models served now, by name."""
        return self.lineup.models

    @property
    def kinds(self) -> Mapping[str, AgentKind]:
        """The kind of agent of each."""
        return self.lineup.kinds

    @property
    def dialects(self) -> Mapping[str, Dialect]:
        """What each model's replicas understand."""
        return {name: self.kinds[name].dialect(model.agent) for name, model in self.models.items()}

    def agent(self, name: str) -> InferenceAgent:
        """Return the inference contract over one pool. Raises `CallerError` for a model that is not there."""
        if name not in self.models:
            known = ", ".join(self.models)
            raise CallerError(f"There is no model {name!r}; there is {known}.", status=404, code="model_not_found")
        fallbacks = self.lineup.ways.of(name, may_leave=self.lineup.spec.keyless_may_leave)
        return PooledAgent(name, self.controller, self._connect, fallbacks)

    # ---- its life

    def open(self) -> None:
        """Begin: replicas that are to be warm are started now."""
        self.controller.open(self._staffed(self.lineup))

    async def line_up(self, spec: ServiceSpec) -> Lineup:
        """Say what other settings come to, and change nothing. Raises `ConfigError` for what could not be served."""
        lineup = await line_up_anew(self.lineup, spec, self._home, self._announce, self._ledger)
        self._plugins.load(lineup.fleet)
        return lineup

    def change(self, lineup: Lineup) -> None:
        """Serve another lineup from now on. Raises `ConfigError` where a driver cannot be opened, before any change."""
        staff = self._staffed(lineup)
        renewed = self.lineup.renewed_by(lineup)
        self.lineup = lineup
        self._ledger.follow(identities(lineup))
        for follow in self._followers:
            follow(lineup)
        self.controller.reload(SpecChanged(lineup.fleet, renewed), staff)

    def follow(self, changed: Callable[[Lineup], None]) -> None:
        """Learn whom to tell of another lineup, before the core hears of it."""
        self._followers.append(changed)

    async def close(self) -> None:
        """Stop: no more steps, then no more replicas, then the connections that agents of this fleet keep."""
        await self.controller.close()
        try:
            await self._drivers.close()
        finally:
            self._drop(list(self._connected))
            await asyncio.gather(*self._closing)

    def _staffed(self, lineup: Lineup) -> dict[str, tuple[Driver, ModelSpec]]:
        return {name: (self._drivers.of(model), model) for name, model in lineup.models.items()}

    def _site(self, progress: Progress, home: Path) -> Site:
        return Site(
            report=self.controller.report,
            progress=progress.loading,
            launch=lambda model, secret: self.kinds[model.pool.name].launch(model, secret),
            locate=lambda model: self.kinds[model.pool.name].endpoint(model.agent),
            environment=os.environ,
            state_dir=home,
            notice=lambda text: self._announce(Assumed(text)),
            kubernetes=self.lineup.spec.kubernetes,
            outdated=self._renew,
            settings=lambda model: replica_settings(self.lineup.told(model.pool.name)),
        )

    def _renew(self, pool: str) -> None:
        """Replace a model's replicas, new ones first: they are of another version."""
        if pool in self.models:
            self.controller.reload(SpecChanged(self.lineup.fleet, (pool,)), self._staffed(self.lineup))

    def _connect(self, name: str, replica_id: int, endpoint: Endpoint) -> InferenceAgent:
        """One agent a replica, so that its connections are used again; those of gone replicas are dropped."""
        known = self._connected.get(replica_id)
        if known is not None and known[0] == endpoint:
            return known[1]
        self._forget_gone()
        agent = self.kinds[name].connect(endpoint, self.models[name])
        self._connected[replica_id] = (endpoint, agent)
        return agent

    def _forget_gone(self) -> None:
        self._drop([replica for replica in self._connected if self.controller.endpoint(replica) is None])

    def _drop(self, replicas: list[int]) -> None:
        for replica in replicas:
            _, agent = self._connected.pop(replica)
            closing = asyncio.create_task(agent.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


class _Drivers:
    """Drivers by kind, each opened when the first model needs it: the configured one for what runs here, else `static`."""

    def __init__(self, site: Site, local: str) -> None:
        self._site = site
        self._local = local
        self._opened: dict[str, Driver] = {}

    def of(self, model: ModelSpec) -> Driver:
        """Return the driver of a model's replicas. Raises `ConfigError` when there is none of that name."""
        kind = "given" if model.pool.given else self._local if model.pool.elastic else "static"
        if kind not in self._opened:
            self._opened[kind] = open_driver(kind, self._site)
        return self._opened[kind]

    async def close(self) -> None:
        """End every replica and wait until nothing is left."""
        async with AsyncExitStack() as stack:
            for driver in self._opened.values():
                stack.push_async_callback(driver.close)


@asynccontextmanager
async def open_fleet(
    settings: str | Path | ServiceSpec | None = None,
    announce: Announce = lambda _: None,
    adapt: Adapt = lambda site: site,
) -> AsyncGenerator[OpenFleet, None]:
    """Open a fleet from a settings file, a spec, or (None) ./toque.toml or the embedded model.

    Raises `ConfigError` for settings that cannot be used, `ToqueError` when the embedded model cannot be fetched.
    """
    spec = settings if isinstance(settings, ServiceSpec) else read_config(_path(settings), os.environ, {})
    home = state_dir(spec.records.state_dir, os.environ)
    async with AsyncExitStack() as stack:
        ledger = Ledger(home / "ledger.json")
        stack.push_async_callback(ledger.close)
        lineup = await line_up(spec, home, announce, ledger)
        ledger.follow(identities(lineup))
        fleet = OpenFleet(lineup, home, ledger, announce, stack, adapt)
        stack.push_async_callback(fleet.close)
        fleet.open()
        yield fleet


def identities(lineup: Lineup) -> dict[str, str]:
    """Name what each model's measured starts depend on."""
    return {name: model_identity(model) for name, model in lineup.models.items()}


def _path(settings: str | Path | None) -> Path | None:
    return find_config("", os.environ) if settings is None else Path(settings)


def _journal(spec: ServiceSpec, ring: JournalRing, header: Header, stack: AsyncExitStack) -> Journal:
    if not spec.records.journal:
        return ring
    journal = JournalFile(ring, Path(spec.records.journal), spec.records.journal_bytes_max, header)
    stack.push_async_callback(journal.close)
    return journal
