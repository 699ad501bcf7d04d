"""The reconciler: makes the fleet serve what the roll of ModelPools says, and sees off those that are to go.

Law: many changes at once are one. A change goes the way of a reload: it is checked whole before anything changes, only what is
another restarts, and what cannot be is told where it was said.
"""

import asyncio
from contextlib import suppress

from toque.app.fleet import OpenFleet
from toque.app.lineup import Announce, kind_of
from toque.app.plugins import Plugins
from toque.kube.model_pools import ModelPools
from toque.model.agent_spec import ModelSpec
from toque.model.announcement import ReloadRefused
from toque.model.errors import ToqueError
from toque.model.resources import Resources
from toque.model.spec import FleetSpec
from toque.model.view import FleetView
from toque.operator.roll import Manifest, Roll

GATHER_S = 0.2
"""From the first change to what is made of it: `kubectl apply` of a directory, or a watch that begins, brings many."""


class Reconciler:
    """`run` it while the fleet is open."""

    def __init__(self, roll: Roll, fleet: OpenFleet, pools: ModelPools, announce: Announce) -> None:
        self._roll = roll
        self._fleet = fleet
        self._pools = pools
        self._announce = announce
        self._dirty = asyncio.Event()
        self._names = {model.pool.name for model in fleet.lineup.spec.models}
        """Pools of the fleet, as it was seen last."""
        self._coming: set[str] = set()
        """Those that a change is about to bring."""
        self._looked = asyncio.Condition()

    def see(self, pool: Manifest) -> None:
        """An object came or changed."""
        if self._roll.see(pool):
            self._dirty.set()

    def call(self, pools: list[Manifest]) -> None:
        """Compare with all there are."""
        if self._roll.call(pools):
            self._dirty.set()

    async def run(self) -> None:
        """Follow the roll until cancelled."""
        never = asyncio.Event()
        while True:
            await self._dirty.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHER_S):
                    await never.wait()
            self._dirty.clear()
            try:
                await self._change()
            except ToqueError as error:
                self._announce(ReloadRefused(error.message))

    async def gone(self, name: str) -> None:
        """Serve a pool no more, and return when nothing of it is left, in the fleet and in the cluster."""
        if self._roll.leave(name):
            self._dirty.set()
        async with self._looked:
            await self._looked.wait_for(lambda: name not in self._names | self._coming)
        await self._pools.clear(name)
        self._roll.strike(name)

    async def look(self, view: FleetView) -> None:
        """Learn which pools there are in the fleet now."""
        async with self._looked:
            self._names = {pool.name for pool in view.pools}
            self._looked.notify_all()

    async def _change(self) -> None:
        spec = self._roll.agree()
        if spec.models == self._fleet.lineup.spec.models:
            return
        self._coming = {model.pool.name for model in spec.models}
        try:
            self._fleet.change(await self._fleet.line_up(spec))
        finally:
            self._names |= self._coming
            self._coming = set()


def vet(model: ModelSpec) -> None:
    """Raise `ConfigError` for a model whose agent, policy or router there is not here."""
    kind_of(model)
    Plugins(FleetSpec((model.pool,), Resources()))
