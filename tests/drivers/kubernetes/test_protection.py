"""A model's PodDisruptionBudget: kept as its settings say, in the words of the cluster's version, and never in the way of a start."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, cast

import httpx2
import lightkube

from toque.drivers.kubernetes.errands import Errands
from toque.drivers.kubernetes.protection import Protection
from toque.kube.manifests import Version, version_of
from toque.model.agent_spec import AgentSpec, ModelSpec
from toque.model.pod_spec import PodSpec
from toque.model.spec import PoolSpec

OWNER = {"apiVersion": "toque.dev/v1alpha1", "kind": "ModelPool", "name": "chat", "uid": "1"}


def version(disruptions_max: int) -> Version:
    model = ModelSpec(PoolSpec("chat"), AgentSpec("fake"), pod=PodSpec("chat:1"))
    pod = replace(model.pod, disruptions_max=disruptions_max)
    return version_of(replace(model, pod=pod), "", "toque", OWNER)


class Server:
    """Keeps what it is told; of versions of the API it knows those in `apis`, and refuses all with `status` if it is set."""

    def __init__(self, *apis: str, status: int = 0) -> None:
        self.apis = apis
        self.status = status
        self.budgets: dict[str, Any] = {}
        self.notices: list[str] = []
        self.calls = 0
        self.errands = Errands()
        self.protection = Protection(cast(lightkube.AsyncClient, self), self.errands, self.insist, self.notices.append)

    async def patch(self, kind: Any, name: str, manifest: Any, **_: object) -> None:
        self._check(manifest["apiVersion"])
        self.budgets[name] = manifest

    async def delete(self, kind: Any, name: str) -> None:
        self._check(f"policy/{kind._api_info.resource.version}")
        if self.budgets.pop(name, None) is None:
            raise refusal(404)

    async def insist(self, ask: Callable[[], Coroutine[None, None, None]]) -> None:
        await ask()

    async def keep(self, disruptions_max: int) -> None:
        self.protection.keep(version(disruptions_max))
        for task in list(self.errands._running):
            await task

    def _check(self, api: str) -> None:
        self.calls += 1
        if self.status or api not in self.apis:
            raise refusal(self.status or 404)


def refusal(status: int) -> httpx2.HTTPStatusError:
    request = httpx2.Request("PATCH", "http://127.0.0.1/")
    return httpx2.HTTPStatusError("no", request=request, response=httpx2.Response(status, request=request))


async def test_a_budget_follows_the_settings_and_goes_with_the_fleet() -> None:
    server = Server("policy/v1")
    await server.keep(0)
    assert server.calls == 0  # who wants none needs no right to it
    await server.keep(1)
    await server.keep(1)
    assert server.calls == 1
    made = server.budgets["toque-chat"]
    assert made["spec"]["maxUnavailable"] == 1
    assert made["metadata"]["ownerReferences"] == [OWNER]
    await server.keep(3)
    assert server.budgets["toque-chat"]["spec"]["maxUnavailable"] == 3
    await server.keep(0)
    assert server.budgets == {}
    await server.keep(2)
    await server.protection.remove()
    assert server.budgets == {}


async def test_a_cluster_before_1_21_is_told_in_its_own_words() -> None:
    server = Server("policy/v1beta1")
    await server.keep(1)
    assert server.budgets["toque-chat"]["apiVersion"] == "policy/v1beta1"
    await server.protection.remove()
    assert server.budgets == {}


async def test_a_cluster_that_will_have_none_is_told_of_once_and_serves_without() -> None:
    server = Server("policy/v1", status=403)
    await server.keep(1)
    assert server.notices == ["chat: no PodDisruptionBudget can be kept: the API server says: Forbidden (403)"]
    await server.keep(1)
    assert len(server.notices) == 1
