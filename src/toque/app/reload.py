"""Reload: the settings are read anew while the service runs, on SIGHUP and when the admin listener is asked.

Law: one at a time, all or nothing. New settings are read and checked whole before anything changes; on any error the old ones
hold. Whoever asks while one runs gets the next one, and however many ask, there is one next.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from toque.app.fleet import OpenFleet
from toque.app.keys import ring_of
from toque.app.lineup import Announce, Lineup
from toque.config.layers import ASSUMED
from toque.config.show import Change, changes
from toque.gateway.accounts import Accounts
from toque.gateway.server import Gateway
from toque.model.agent_spec import ModelSpec
from toque.model.announcement import Reloaded, ReloadRefused
from toque.model.errors import ConfigError, ToqueError
from toque.model.service_spec import ServiceSpec
from toque.records.metrics import Metrics

GATHER_S = 0.1
"""Between the wish for a reload and its reading: editors and scripts write a file several times within this."""
FIXED = (
    "listen",
    "admin_listen",
    "metrics_listen",
    "driver",
    "records.",
    "jobs.",
    "advice.",
    "kubernetes.",
    "cluster.",
)
"""What was opened at the start and stays open; settings whose names begin so cannot change."""


class Reloader:
    """`read` reads the settings as they were read at the start. Close it before what it changes."""

    def __init__(
        self,
        read: Callable[[], ServiceSpec],
        fleet: OpenFleet,
        gateway: Gateway,
        accounts: Accounts,
        metrics: Metrics,
        announce: Announce,
    ) -> None:
        self._read = read
        self._fleet = fleet
        self._gateway = gateway
        self._accounts = accounts
        self._metrics = metrics
        self._announce = announce
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[Reloaded] | None = None
        self._running: set[asyncio.Task[Reloaded]] = set()
        self._closing = asyncio.Event()

    @property
    def spec(self) -> ServiceSpec:
        """The settings that hold."""
        return self._fleet.lineup.spec

    def ask(self) -> None:
        """Reload soon; what comes of it is announced."""
        if self._next is None and not self._closing.is_set():
            self._next = asyncio.create_task(self._run())
            self._running.add(self._next)
            self._next.add_done_callback(self._ended)

    async def reload(self, is_dry_run: bool) -> Reloaded:  # noqa: FBT001 - the shape that the admin listener calls
        """Reload, or only say what that would do. Raises `ToqueError` when the settings cannot be used."""
        if is_dry_run:
            async with self._turn:
                return _tell(self._fleet.lineup, await self._line_up(), is_dry_run=True)
        self.ask()
        if self._next is None:
            raise ConfigError("The service is shutting down.", fix="Start it with the new settings.")
        return await asyncio.shield(self._next)

    async def adopt(self, models: tuple[ModelSpec, ...]) -> None:
        """Serve the models that a controller tells, from now on; what cannot be served here is told, and the old ones hold."""
        async with self._turn:
            if models == self.spec.models:
                return
            try:
                reloaded = self._change(await self._fleet.line_up(replace(self.spec, models=models)))
            except ConfigError as error:
                self._announce(ReloadRefused(error.told()))
                return
        self._announce(reloaded)

    async def close(self) -> None:
        """End what is under way, before its change or after it."""
        self._closing.set()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(self) -> Reloaded:
        async with self._turn:
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHER_S):
                    await self._closing.wait()
            self._next = None
            is_good = False
            try:
                reloaded = self._change(await self._line_up())
                is_good = True
            finally:
                self._metrics.reloaded(time.time(), is_good=is_good)  # noqa: TID251 - for people and alerts, not for decisions
        self._announce(reloaded)
        return reloaded

    async def _line_up(self) -> Lineup:
        spec = await asyncio.to_thread(self._read)
        _refuse_fixed(changes(self.spec, spec))
        if ASSUMED in spec.origins.values() and ASSUMED not in self.spec.origins.values():
            raise ConfigError("The settings file names no model any more.", fix="Was it read half written? Try again.")
        return await self._fleet.line_up(spec)

    def _change(self, after: Lineup) -> Reloaded:
        """Let everything change in one go: nobody is served between the old settings and the new."""
        before = self._fleet.lineup
        dialects = {name: after.kinds[name].dialect(model.agent) for name, model in after.models.items()}
        self._fleet.change(after)
        self._gateway.reload(dialects, ring_of(after, self._accounts), after.spec.limits)
        return _tell(before, after, is_dry_run=False)

    def _ended(self, task: asyncio.Task[Reloaded]) -> None:
        """Announce a failure; one that is nobody's settings' fault is a bug of ours."""
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ConfigError):
            self._announce(ReloadRefused(error.told()))
        elif isinstance(error, ToqueError):
            self._announce(ReloadRefused(error.message))
        elif error is not None:
            context = {"message": "A reload failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)


def _refuse_fixed(differing: list[Change]) -> None:
    """Raise `ConfigError` for a setting that only a restart can change."""
    for change in differing:
        if change.name.startswith(FIXED):
            where = change.after.origin if change.after else ""
            raise ConfigError(
                f"{change.name} cannot change while toque runs.", where=where, fix="Set it back, or restart toque."
            )


def _tell(before: Lineup, after: Lineup, *, is_dry_run: bool) -> Reloaded:
    lines = [line for change in changes(before.spec, after.spec) for line in change.lines()]
    same = before.models.keys() & after.models.keys()
    lines += [
        f"~ models.{name}: its files changed" for name in after.models if _has_new_files(name, same, before, after)
    ]
    return Reloaded(tuple(lines), tuple(_consequences(before, after)), is_dry_run)


def _has_new_files(name: str, same: set[str], before: Lineup, after: Lineup) -> bool:
    return (
        name in same
        and before.models[name].agent == after.models[name].agent
        and before.stamps[name] != after.stamps[name]
    )


def _means(model: ModelSpec, told: Mapping[str, ModelSpec], renewed: tuple[str, ...]) -> str:
    if model.pool.name not in told:
        return f"is added; warm replicas: {model.pool.replicas.minimum_warm}"
    if model.pool.name in renewed:
        return "its replicas are replaced, new ones first where they fit in beside the old"
    return "goes by the new settings at once; its replicas go on"


def _consequences(before: Lineup, after: Lineup) -> Iterator[str]:
    """Say what the change means, model by model, then for the service."""
    renewed = before.renewed_by(after)
    told = {model.pool.name: model for model in before.spec.models}
    removed = [model for name, model in before.models.items() if name not in after.models]
    for model in removed:
        yield f"{model.pool.name}: is no longer served; what is in flight may take {model.pool.replicas.drain_s_max:g} s"
    for model in after.spec.models:
        if model != told.get(model.pool.name) or model.pool.name in renewed:
            yield f"{model.pool.name}: {_means(model, told, renewed)}"
    for part in ("keys", "limits", "capacity", "overload", "spending", "keyless_may_leave"):
        if getattr(before.spec, part) != getattr(after.spec, part):
            yield f"{part}: the new ones hold from now on; open connections and started requests keep theirs"
