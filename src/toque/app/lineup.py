"""The lineup: what a configuration comes to on this machine, with every guess made.

Law: a model whose settings are the same as before keeps what was guessed for it, so that a reload changes nothing of it; it
is read and checked whole before anything changes.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from toque.agents import agent_kind
from toque.agents.embedded import EMBEDDED_NAME, find_or_fetch
from toque.app.machine import measure_machine
from toque.app.plan import fill_capacity, plan_fleet, settle_threads
from toque.config.secret import read_secret
from toque.core.fallback import WaysOut
from toque.model.agent_spec import AgentSpec, ModelSpec, Secret
from toque.model.announcement import Announcement, Assumed, Fetching
from toque.model.errors import ConfigError
from toque.model.resources import Resources
from toque.model.service_spec import ServiceSpec
from toque.model.spec import FleetSpec, PoolSpec
from toque.ports import AgentKind
from toque.records.ledger import Ledger

Announce: TypeAlias = Callable[[Announcement], None]
Stamp: TypeAlias = tuple[tuple[int, int], ...]
"""Size and time of change of the files that a model's replicas are started with."""


@dataclass(frozen=True, slots=True)
class Lineup:
    """The settings, and by model's name: the model with nothing left open, its kind of agent, and its files' stamp."""

    spec: ServiceSpec
    models: Mapping[str, ModelSpec]
    kinds: Mapping[str, AgentKind]
    stamps: Mapping[str, Stamp]
    fleet: FleetSpec

    @property
    def ways(self) -> WaysOut:
        """Which models may answer instead of which."""
        return WaysOut(self.fleet.pools)

    def told(self, name: str) -> ModelSpec:
        """Return a model as the settings have it, before anything was settled for this machine."""
        return next(model for model in self.spec.models if model.pool.name == name)

    def renewed_by(self, after: "Lineup") -> tuple[str, ...]:
        """Name the models of both whose replicas cannot go on: another engine, file, key, isolation or number of slots."""
        return tuple(name for name in after.models if name in self.models and self._is_other(name, after))

    def _is_other(self, name: str, after: "Lineup") -> bool:
        old, new = self.models[name], after.models[name]
        return (
            _started_with(old.agent) != _started_with(new.agent)
            or old.pool.slots != new.pool.slots
            or old.isolation != new.isolation
            or old.pod != new.pod
            or self.stamps[name] != after.stamps[name]
        )


async def line_up(spec: ServiceSpec, home: Path, announce: Announce, ledger: Ledger) -> Lineup:
    """Settle what the settings leave open. Raises `ConfigError` for an agent that there is not."""
    models = [await _with_source(model, home, announce) for model in spec.models]
    capacity = fill_capacity(spec.capacity, measure_machine(), lambda text: announce(Assumed(text)))
    return _lineup(spec, settle_threads(models, capacity.cores), capacity, ledger)


async def line_up_anew(before: Lineup, spec: ServiceSpec, home: Path, announce: Announce, ledger: Ledger) -> Lineup:
    """The same for settings that take the place of others; models that changed are checked as `toque check` does.

    Raises `ConfigError` for the first one that could not be served.
    """
    models = [await _with_source(model, home, announce) for model in spec.models]
    return await asyncio.to_thread(_compare, before, spec, models, ledger)


def kind_of(model: ModelSpec) -> AgentKind:
    """Return the kind of a model's agent. Raises `ConfigError` when there is none."""
    return agent_kind(model.agent.agent, _read_secret)


def _compare(before: Lineup, spec: ServiceSpec, models: Sequence[ModelSpec], ledger: Ledger) -> Lineup:
    capacity = before.fleet.capacity
    if spec.capacity != before.spec.capacity:
        capacity = fill_capacity(spec.capacity, measure_machine(), lambda _: None)
    told = {model.pool.name: model.agent for model in before.spec.models}
    same = {model.pool.name for model in spec.models if told.get(model.pool.name) == model.agent}
    settled = [
        replace(model, agent=before.models[model.pool.name].agent) if model.pool.name in same else model
        for model in settle_threads(models, capacity.cores)
    ]
    after = _lineup(spec, settled, capacity, ledger)
    renewed = before.renewed_by(after)
    for name, model in after.models.items():
        if (name in renewed or name not in before.models) and not model.runs_in_pod:
            _check(after.kinds[name], model, spec)
    known = {pool.name: pool for pool in before.fleet.pools if pool.name not in renewed}
    pools = tuple(_as_measured(pool, known.get(pool.name, pool)) for pool in after.fleet.pools)
    return replace(after, fleet=replace(after.fleet, pools=pools))


def _lineup(spec: ServiceSpec, models: Sequence[ModelSpec], capacity: Resources, ledger: Ledger) -> Lineup:
    return Lineup(
        spec,
        {model.pool.name: model for model in models},
        {model.pool.name: kind_of(model) for model in models},
        {model.pool.name: _stamp(model.agent) for model in models},
        replace(
            plan_fleet(tuple(models), capacity, ledger, spec.spending), overload=spec.overload, lends=spec.cluster.lends
        ),
    )


def _as_measured(pool: PoolSpec, known: PoolSpec) -> PoolSpec:
    """Keep the footprint and the cold start that the replicas which go on were planned with."""
    return replace(pool, footprint=known.footprint, cold_start=known.cold_start)


def _started_with(agent: AgentSpec) -> AgentSpec:
    """Leave out what only the gateway looks at, and what holds from the next start on."""
    return replace(agent, fields=(), upstream_model="", health_interval_s=1.0)


def _check(kind: AgentKind, model: ModelSpec, spec: ServiceSpec) -> None:
    try:
        kind.check(model.agent)
    except ConfigError as error:
        setting = "url" if model.agent.url else "source"
        error.where = error.where or spec.origins.get(f"models.{model.pool.name}.{setting}", "")
        raise


def _stamp(agent: AgentSpec) -> Stamp:
    key_file = agent.key.removeprefix("file:") if agent.key.startswith("file:") else ""
    return tuple(_stamp_of(Path(path)) for path in (agent.source, key_file) if path)


def _stamp_of(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_size, found.st_mtime_ns)


def _read_secret(reference: str) -> Secret:
    return read_secret(reference, os.environ)


async def _with_source(model: ModelSpec, home: Path, announce: Announce) -> ModelSpec:
    """Put the embedded model's path where the settings name it, fetching it the first time; in a Pod it is the Pod's to find."""
    if model.agent.source != EMBEDDED_NAME or model.runs_in_pod:
        return model
    path = await find_or_fetch(home / "models", lambda ratio: announce(Fetching(EMBEDDED_NAME, ratio)))
    return replace(model, agent=replace(model.agent, source=str(path)))
