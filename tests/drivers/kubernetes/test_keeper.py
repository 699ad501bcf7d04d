"""A Deployment that is kept: few calls, none on stale knowledge, and what is refused for good is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import httpx2
import pytest

from tests.drivers.bench import until
from toque.drivers.kubernetes.cluster import Cluster
from toque.drivers.kubernetes.freshness import Freshness
from toque.drivers.kubernetes.keeper import Keeper
from toque.drivers.kubernetes.order import Order
from toque.kube.manifests import Version, version_of
from toque.model.agent_spec import AgentSpec, ModelSpec, Secret
from toque.model.cluster import ReplicaDelayed
from toque.model.messages import Event
from toque.model.pod_spec import PodSpec
from toque.model.spec import PoolSpec

MODEL = ModelSpec(PoolSpec("chat", hosted=True), AgentSpec("fake"), pod=PodSpec("chat:1"))


class ScriptedCluster:
    """Takes every call, and answers the next ones with these statuses first."""

    def __init__(self, *statuses: int) -> None:
        self.calls: list[tuple[str, int]] = []
        self._statuses = list(statuses)

    async def secret_of(self, _: Version) -> Secret:
        return Secret("canary")

    async def apply(self, _: Version, replicas: int) -> None:
        self._take("apply", replicas)

    async def scale(self, _: str, replicas: int) -> None:
        self._take("scale", replicas)

    def _take(self, what: str, replicas: int) -> None:
        self.calls.append((what, replicas))
        if self._statuses:
            request = httpx2.Request("PATCH", "http://127.0.0.1/")
            answer = httpx2.Response(self._statuses.pop(0), request=request, headers={"retry-after": "0"})
            raise httpx2.HTTPStatusError("no", request=request, response=answer)


class Bench:
    def __init__(self, *statuses: int) -> None:
        self.cluster = ScriptedCluster(*statuses)
        self.freshness = Freshness(frozenset({"pods"}), lambda _: None)
        self.refusals: list[str] = []
        self.told: list[str] = []
        """What orders wait for."""
        version = version_of(MODEL, "", "toque")
        self.keeper = Keeper(
            cast(Cluster, self.cluster), version, self.freshness, lambda _, reason: self.refusals.append(reason)
        )

    def order(self, *numbers: int) -> None:
        for number in numbers:
            self.keeper.enter(Order(number, self.keeper.version, 0.0, self._tell))

    def _tell(self, event: Event) -> None:
        assert isinstance(event, ReplicaDelayed)
        self.told.append(event.reason)

    async def settled(self, replicas: int) -> None:
        await until(lambda: self.keeper.set_to == replicas)


@asynccontextmanager
async def bench(*statuses: int, is_fresh: bool = True) -> AsyncIterator[Bench]:
    made = Bench(*statuses)
    if is_fresh:
        made.freshness.turn("pods", "")
    task = asyncio.create_task(made.keeper.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_burst_of_orders_is_one_call() -> None:
    async with bench() as made:
        made.order(1, 2, 3)
        await made.settled(3)
        made.order(4, 5)
        await made.settled(5)
        assert made.cluster.calls == [("apply", 3), ("scale", 5)]


async def test_nothing_is_changed_while_what_is_known_is_stale() -> None:
    async with bench(is_fresh=False) as made:
        made.order(1)
        await until(made.keeper._dirty.is_set)
        assert made.cluster.calls == []
        made.order(2)
        made.freshness.turn("pods", "")
        await made.settled(2)
        assert made.cluster.calls == [("apply", 2)]


async def test_what_stands_already_costs_no_call() -> None:
    async with bench() as made:
        made.keeper.found(2)
        made.order(1, 2)
        await until(made.keeper.key.done)
        made.order(3)
        await made.settled(3)
        assert made.cluster.calls == [("scale", 3)]


async def test_a_number_that_somebody_else_set_is_put_right() -> None:
    async with bench() as made:
        made.order(1)
        await made.settled(1)
        made.keeper.found(7)
        await made.settled(1)
        assert made.cluster.calls == [("apply", 1), ("scale", 1)]


async def test_a_deployment_that_somebody_deleted_is_made_again() -> None:
    async with bench() as made:
        made.order(1)
        await made.settled(1)
        made.cluster._statuses = [404]
        made.order(2)
        await made.settled(2)
        assert made.cluster.calls == [("apply", 1), ("scale", 2), ("apply", 2)]


@pytest.mark.parametrize("status", [409, 429, 500, 503])
async def test_a_conflict_and_a_busy_server_are_asked_again(status: int) -> None:
    async with bench(status) as made:
        made.order(1)
        await made.settled(1)
        assert made.cluster.calls == [("apply", 1), ("apply", 1)]
        assert made.refusals == []
        assert [str(status) in told or "Conflict" in told for told in made.told] == [True]
        assert made.keeper.orders[1].delayed is None


async def test_what_is_refused_for_good_is_told_and_tried_with_the_next_order() -> None:
    async with bench(403) as made:
        made.order(1)
        await until(lambda: bool(made.refusals))
        assert "403" in made.refusals[0]
        made.order(2)
        await made.settled(2)


async def test_who_is_not_ordered_from_any_more_is_kept_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toque.drivers.kubernetes.keeper.LINGER_S", 0.05)
    made = Bench()
    made.freshness.turn("pods", "")
    async with asyncio.timeout(10):
        await made.keeper.run()
