"""Which gateways are dead: those whose Pod is gone, and nobody else."""

from collections.abc import AsyncIterator
from typing import Any, cast

import lightkube
import pytest
from lightkube.models.core_v1 import PodSpec, PodStatus
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Pod

from toque.kube.gateway_pods import PodCensus


class Server:
    """Has these Pods; does not answer while `is_away`."""

    def __init__(self, **phases: str) -> None:
        self.phases = phases
        self.is_away = False
        self.looks = 0
        self.census = PodCensus(cast(lightkube.AsyncClient, self), "toque")

    async def list(self, kind: Any, labels: Any, **_: Any) -> AsyncIterator[Pod]:
        assert labels == {
            "app.kubernetes.io/name": "toque",
            "app.kubernetes.io/component": "gateway",
            "toque.dev/fleet": "toque",
        }
        self.looks += 1
        if self.is_away:
            raise OSError("away")
        for name, phase in self.phases.items():
            yield Pod(metadata=ObjectMeta(name=name), status=PodStatus(phase=phase))


async def test_those_whose_pods_are_there_may_hold_slots() -> None:
    assert await Server(a="Running", b="Pending", c="Failed").census.expected() == {"a": "", "b": ""}


async def test_a_silent_gateway_is_dead_when_its_pod_is_gone_or_has_ended() -> None:
    server = Server(a="Running", b="Running", c="Running")
    await server.census.expected()
    server.phases = {"a": "Running", "b": "Succeeded"}
    assert list(await server.census.dead({"a": "1", "b": "1", "c": "1"})) == ["b", "c"]


async def test_an_api_server_that_is_away_proves_nothing() -> None:
    server = Server(a="Running")
    await server.census.expected()
    server.is_away = True
    assert list(await server.census.dead({"a": "1"})) == []


async def test_a_gateway_that_is_no_pod_is_not_judged_by_pods() -> None:
    server = Server(a="Running")
    server.census.note({"a": "1", "at-home": "1"})
    assert list(await server.census.dead({})) == []
    server.phases = {}
    assert list(await server.census.dead({"a": "1", "at-home": "1"})) == ["a"]


async def test_calm_costs_no_calls() -> None:
    server = Server(a="Running")
    server.census.note({"a": "1"})
    for _ in range(5):
        await server.census.dead({})
    assert server.looks == 1


async def test_a_pod_that_no_machine_has_room_for_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ever ran in it: waiting for its word, a new leader would never lend."""
    server = Server(a="Running", b="Pending")
    seen = [pod async for pod in server.list(Pod, server.census._labels)]
    seen[0].spec, seen[1].spec = PodSpec(containers=[], nodeName="one"), PodSpec(containers=[])

    async def pods(*_: Any, **__: Any) -> AsyncIterator[Pod]:
        for pod in seen:
            yield pod

    monkeypatch.setattr(server, "list", pods)
    assert await server.census.expected() == {"a": ""}
