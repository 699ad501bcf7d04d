"""The end of one Pod that we chose: it is taken out of service, counted out, and gone.

Law: Kubernetes chooses which Pod goes when a Deployment shrinks. It takes those that are not ready first, and then by their
deletion cost: so ours is made not ready and cheap before. Where another one went all the same, ours is deleted by its name, and the
Deployment replaces it for whoever lost the other.
"""

import asyncio
from collections.abc import Callable

from toque.drivers.kubernetes.estate import Estate
from toque.drivers.kubernetes.keeper import Keeper

UNREADY_S = 5.0
"""A kubelet sees a readiness gate at once; a machine that is gone never does."""
CHOSEN_S = 1.5
"""A Deployment's controllers follow its number in tenths of a second; who has not been chosen by then is not chosen."""
REMAINS_S = 15.0
"""On top of a Pod's grace, until it is taken for gone: its machine does not say so any more."""


class Farewell:
    """One Pod's. `news` is called for each change of it; `say` runs until it is gone."""

    def __init__(self, pod: str, keeper: Keeper, estate: Estate) -> None:
        self._pod = pod
        self._keeper = keeper
        self._estate = estate
        self._cluster = estate.cluster
        self._sights = estate.sights
        self._changed = asyncio.Event()
        keeper.leaving += 1

    def news(self) -> None:
        """The Pod changed."""
        self._changed.set()

    async def say(self) -> None:
        """Let the Pod go."""
        try:
            await self._prepare()
        finally:
            self._keeper.leaving -= 1
            self._keeper.touch()
        await self._estate.freshness.wait()
        if not await self._comes_true(lambda: self._is_leaving, CHOSEN_S):
            await self._estate.insist(lambda: self._cluster.delete_pod(self._pod))
        grace_s = self._keeper.version.model.pod.termination_grace_s
        await self._comes_true(lambda: self._pod not in self._sights, grace_s + REMAINS_S)

    @property
    def _is_leaving(self) -> bool:
        sight = self._sights.get(self._pod)
        return sight is None or sight.is_leaving

    @property
    def _is_unready(self) -> bool:
        sight = self._sights.get(self._pod)
        return sight is None or not sight.is_ready or sight.is_leaving

    async def _prepare(self) -> None:
        if self._is_unready:
            return
        await self._estate.insist(lambda: self._cluster.show(self._pod, is_serving=False))
        await self._estate.insist(lambda: self._cluster.mark(self._pod))
        await self._comes_true(lambda: self._is_unready, UNREADY_S)

    async def _comes_true(self, condition: Callable[[], bool], within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True
