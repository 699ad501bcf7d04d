"""An open fleet: pools, queue, scaling and replicas of one configuration, in this process and without HTTP.

Law: what it opens it closes, in reverse order, also when opening fails half-way.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from toque import __version__
from toque.agents import agent_kind
from toque.agents.embedded import EMBEDDED_NAME, find_or_fetch
from toque.app.machine import measure_machine
from toque.app.plan import fill_capacity, model_identity, plan_fleet, settle_threads
from toque.app.plugins import Plugins
from toque.app.progress import Progress
from toque.app.state import state_dir
from toque.config.read import find_config, read_config
from toque.config.secret import read_secret
from toque.drivers import open_driver
from toque.drivers.site import Site
from toque.model.agent_spec import ModelSpec, Secret
from toque.model.announcement import Announcement, Assumed, Fetching
from toque.model.endpoint import Endpoint
from toque.model.errors import CallerError
from toque.model.service_spec import ServiceSpec
from toque.ports import AgentKind, Dialect, Driver, InferenceAgent, Journal, ReplicaAgent
from toque.records.journal import Header, JournalFile, JournalRing
from toque.records.ledger import Ledger
from toque.runtime.agent import PooledAgent
from toque.runtime.controller import Controller

Announce = Callable[[Announcement], None]


class OpenFleet:
    """Made by `open_fleet`. `controller` is for those who serve it further; applications use `agent`."""

    def __init__(self, models: tuple[ModelSpec, ...], controller: Controller, ring: JournalRing) -> None:
        self.models = {model.pool.name: model for model in models}
        self.kinds = {name: kind_of(model) for name, model in self.models.items()}
        self.controller = controller
        self.ring = ring
        self._connected: dict[int, tuple[Endpoint, ReplicaAgent]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def dialects(self) -> Mapping[str, Dialect]:
        """What each model's replicas understand."""
        return {name: self.kinds[name].dialect(model.agent) for name, model in self.models.items()}

    def agent(self, name: str) -> InferenceAgent:
        """Return the inference contract over one pool. Raises `CallerError` for a model that is not there."""
        if name not in self.models:
            known = ", ".join(self.models)
            raise CallerError(f"There is no model {name!r}; there is {known}.", status=404, code="model_not_found")
        return PooledAgent(name, self.controller, lambda replica, endpoint: self._connect(name, replica, endpoint))

    async def close(self) -> None:
        """End the connections that agents of this fleet keep."""
        self._drop(list(self._connected))
        await asyncio.gather(*self._closing)

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


@asynccontextmanager
async def open_fleet(
    settings: str | Path | ServiceSpec | None = None, announce: Announce = lambda _: None
) -> AsyncGenerator[OpenFleet, None]:
    """Open a fleet from a settings file, a spec, or (None) ./toque.toml or the embedded model.

    Raises `ConfigError` for settings that cannot be used, `ToqueError` when the embedded model cannot be fetched.
    """
    spec = settings if isinstance(settings, ServiceSpec) else read_config(_path(settings), os.environ, {})
    home = state_dir(spec.records.state_dir, os.environ)
    capacity = fill_capacity(spec.capacity, measure_machine(), lambda text: announce(Assumed(text)))
    models = settle_threads([await _with_source(model, home, announce) for model in spec.models], capacity.cores)
    async with AsyncExitStack() as stack:
        ledger = Ledger(home / "ledger.json", {model.pool.name: model_identity(model) for model in models})
        stack.push_async_callback(ledger.close)
        fleet_spec = plan_fleet(models, capacity, ledger)
        ring = JournalRing(spec.records.journal_ring)
        progress = Progress(announce)
        plugins = Plugins(fleet_spec)
        born = asyncio.get_running_loop().time()
        controller = Controller(
            fleet_spec,
            _journal(spec, ring, Header(__version__, born, fleet_spec), stack),
            (ledger, progress),
            plugins.policies,
            plugins.routers,
            born=born,
        )
        fleet = OpenFleet(models, controller, ring)
        stack.push_async_callback(fleet.close)
        drivers = _open_drivers(spec, fleet, progress, home)
        for driver in set(drivers.values()):
            stack.push_async_callback(driver.close)
        stack.push_async_callback(controller.close)
        controller.open({name: (driver, fleet.models[name]) for name, driver in drivers.items()})
        yield fleet


def kind_of(model: ModelSpec) -> AgentKind:
    """Return the kind of a model's agent. Raises `ConfigError` when there is none."""
    return agent_kind(model.agent.agent, _read_secret)


def _path(settings: str | Path | None) -> Path | None:
    return find_config("", os.environ) if settings is None else Path(settings)


def _read_secret(reference: str) -> Secret:
    return read_secret(reference, os.environ)


async def _with_source(model: ModelSpec, home: Path, announce: Announce) -> ModelSpec:
    """Put the embedded model's path where the settings name it, fetching it the first time."""
    if model.agent.source != EMBEDDED_NAME:
        return model
    path = await find_or_fetch(home / "models", lambda ratio: announce(Fetching(EMBEDDED_NAME, ratio)))
    return replace(model, agent=replace(model.agent, source=str(path)))


def _journal(spec: ServiceSpec, ring: JournalRing, header: Header, stack: AsyncExitStack) -> Journal:
    if not spec.records.journal:
        return ring
    journal = JournalFile(ring, Path(spec.records.journal), spec.records.journal_bytes_max, header)
    stack.push_async_callback(journal.close)
    return journal


def _open_drivers(spec: ServiceSpec, fleet: OpenFleet, progress: Progress, home: Path) -> dict[str, Driver]:
    """One driver of each needed kind: the configured one for what runs here, `static` for what runs elsewhere."""
    site = Site(
        report=fleet.controller.report,
        progress=progress.loading,
        launch=lambda model, secret: fleet.kinds[model.pool.name].launch(model, secret),
        locate=lambda model: fleet.kinds[model.pool.name].endpoint(model.agent),
        environment=os.environ,
        state_dir=home,
    )
    names = {name: spec.driver if model.pool.elastic else "static" for name, model in fleet.models.items()}
    opened = {kind: open_driver(kind, site) for kind in set(names.values())}
    return {name: opened[kind] for name, kind in names.items()}
