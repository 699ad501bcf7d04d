"""A gateway in an alliance: its models come from whoever leads, its replicas are given, and it tells what it has to do.

Law: it serves on with what it has while no controller answers. It says good-bye only once nothing is in flight any more.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace

from toque.alliance.census import this_incarnation
from toque.alliance.joining import Joining
from toque.alliance.member import Member
from toque.app.lineup import Announce
from toque.app.reload import Reloader
from toque.config.address import split_address
from toque.config.secret import read_secret
from toque.drivers.site import Site
from toque.model.agent_spec import ModelSpec
from toque.model.announcement import Assumed
from toque.model.cluster import AskForSlots, ClusterEffect, ReturnSlots
from toque.model.endpoint import Endpoint
from toque.model.service_spec import ServiceSpec
from toque.model.view import FleetView
from toque.runtime.controller import Controller


class Alone:
    """The same of a gateway that has its own replicas: nothing of it is any different."""

    async def find(self, spec: ServiceSpec, stop: Callable[[], Awaitable[int]]) -> ServiceSpec | None:
        """Return the settings as they are."""
        return spec

    def adapt(self, site: Site) -> Site:
        """Return the same site."""
        return site

    def reader(self, read: Callable[[], ServiceSpec]) -> Callable[[], ServiceSpec]:
        """Return the same reader."""
        return read

    def begin(self, controller: Controller, reloader: Reloader) -> None:
        """Nobody is told anything."""

    def watching(self, view: Callable[[], FleetView]) -> Callable[[], FleetView]:
        """Return the same view."""
        return view

    async def close(self) -> None:
        """Nobody is left."""


class Joined:
    """Made inside a running event loop. Raises `ConfigError` for a token that cannot be read."""

    def __init__(self, spec: ServiceSpec, announce: Announce) -> None:
        self._announce = announce
        cluster = spec.cluster
        token = read_secret(cluster.token, os.environ)
        addresses = [split_address(address) for address in cluster.controllers]
        self._joining = Joining(addresses, token, cluster.name or socket.gethostname(), this_incarnation())
        self._endpoints: dict[int, Endpoint] = {}
        self._marks: dict[int, str] = {}
        self._models: tuple[ModelSpec, ...] = ()

    async def find(self, spec: ServiceSpec, stop: Callable[[], Awaitable[int]]) -> ServiceSpec | None:
        """Wait for whoever leads; returns the settings with the models there are, None when told to stop meanwhile."""
        self._announce(Assumed(f"models and replicas: from a controller at {', '.join(spec.cluster.controllers)}"))
        finding, stopping = asyncio.ensure_future(self._joining.find()), asyncio.ensure_future(stop())
        await asyncio.wait((finding, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not finding.done():
            finding.cancel()
            await asyncio.gather(finding, return_exceptions=True)
            return None
        self._models = tuple(map(given, finding.result()))
        return replace(spec, models=self._models)

    def adapt(self, site: Site) -> Site:
        """Let drivers know where given replicas are."""
        return replace(site, given=self._endpoints, mark=lambda replica_id: self._marks.get(replica_id, ""))

    def reader(self, read: Callable[[], ServiceSpec]) -> Callable[[], ServiceSpec]:
        """Return what reads the settings anew: the models are those of whoever leads."""
        return lambda: replace(read(), models=self._models)

    def begin(self, controller: Controller, reloader: Reloader) -> None:
        """Take slots, and say what there is to do, from now on."""
        member = Member(controller.post, controller.held, controller.loads, self._endpoints, self._marks)

        def carry_out(effect: ClusterEffect) -> None:
            if isinstance(effect, ReturnSlots | AskForSlots):
                member.carry_out(effect)
                self._joining.stir()

        async def apply(models: tuple[ModelSpec, ...]) -> None:
            self._models = tuple(map(given, models))
            await reloader.adopt(self._models)

        controller.ally(carry_out)
        self._joining.open(member, apply)

    async def close(self) -> None:
        """Take one's leave."""
        await self._joining.close()

    def watching(self, view: Callable[[], FleetView]) -> Callable[[], FleetView]:
        """Return what views the fleet, and says who scales it."""
        return lambda: replace(view(), leader=self._told())

    def _told(self) -> str:
        joining = self._joining
        if joining.controller:
            return f"gateway {joining.name}: models, replicas and slots come from {joining.controller}, which scales"
        return (
            f"gateway {joining.name}: no controller answers ({joining.trouble}); it serves on with the slots it has, and "
            "nothing is scaled"
        )


def given(model: ModelSpec) -> ModelSpec:
    """Return a model as a gateway has it: nothing of it is started here."""
    return replace(model, pool=replace(model.pool, given=True, elastic=False))
