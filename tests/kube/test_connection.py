"""How a cluster is reached, and how it is told when none can be."""

import asyncio
from pathlib import Path

import pytest
from lightkube.resources.core_v1 import Pod
from starlette.applications import Starlette
from starlette.requests import Request as Asked
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.drivers.bench import until
from toque.kube.connection import CALLS_MAX, open_client
from toque.kube.trouble import FencedError, explain
from toque.model.errors import ConfigError
from toque.model.pod_spec import KubernetesSpec
from toque.model.service_spec import LimitSpec
from toque.wire.asgi import AsgiHandler
from toque.wire.server import serve

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: here
clusters: [{name: here, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: here, context: {cluster: here, user: me, namespace: models}}]
users: [{name: me, user: {token: canary}}]
"""


async def test_a_kubeconfig_names_server_user_and_namespace(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(KUBECONFIG)
    async with open_client(KubernetesSpec(), {"KUBECONFIG": str(file)}) as client:
        assert client.namespace == "models"
    async with open_client(KubernetesSpec("other", str(file)), {}) as client:
        assert client.namespace == "other"


@pytest.mark.parametrize("text", ["", "contexts: {", KUBECONFIG.replace("user: me,", "")])
def test_what_is_no_kubeconfig_is_told_with_its_place_and_without_its_token(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(ConfigError, match="No cluster can be reached") as told:
        open_client(KubernetesSpec(kubeconfig=str(file)), {})
    assert str(file) in told.value.message
    assert "canary" not in told.value.message


def test_a_pod_without_a_service_account_reaches_nothing() -> None:
    with pytest.raises(ConfigError, match="the service account of this Pod"):
        open_client(KubernetesSpec(), {"KUBERNETES_SERVICE_HOST": "10.0.0.1"})


async def test_a_thousand_calls_go_few_at_a_time_and_watches_wait_for_none_of_them(tmp_path: Path) -> None:
    may_answer, under_way, most, watches = asyncio.Event(), 0, 0, asyncio.Event()

    async def answer(request: Asked) -> Response:
        nonlocal under_way, most
        if request.query_params.get("watch"):
            watches.set()
            return JSONResponse({})
        under_way += 1
        most = max(most, under_way)
        await may_answer.wait()
        under_way -= 1
        return JSONResponse({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "one"}})

    handler = AsgiHandler(Starlette(routes=[Route("/{path:path}", answer)]))
    server = await serve(("127.0.0.1", 0), handler, LimitSpec())
    file = tmp_path / "config"
    file.write_text(KUBECONFIG.replace("https://127.0.0.1:1", f"http://127.0.0.1:{server.port}"))
    async with open_client(KubernetesSpec(kubeconfig=str(file)), {}) as client:
        calls = [asyncio.create_task(client.get(Pod, "one")) for _ in range(200)]
        await until(lambda: under_way == CALLS_MAX)
        watching = asyncio.create_task(anext(aiter(client.watch(Pod))))
        await watches.wait()
        watching.cancel()
        may_answer.set()
        await asyncio.gather(*calls)
        await asyncio.gather(watching, return_exceptions=True)
    await server.close()
    await handler.close()
    assert most == CALLS_MAX


async def test_what_we_may_not_change_never_leaves_and_what_we_look_at_does(tmp_path: Path) -> None:
    asked: list[str] = []

    async def answer(request: Asked) -> Response:
        asked.append(request.method)
        return JSONResponse({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "one"}})

    methods = ["GET", "PATCH", "DELETE"]
    handler = AsgiHandler(Starlette(routes=[Route("/{path:path}", answer, methods=methods)]))
    server = await serve(("127.0.0.1", 0), handler, LimitSpec())
    file = tmp_path / "config"
    file.write_text(KUBECONFIG.replace("https://127.0.0.1:1", f"http://127.0.0.1:{server.port}"))
    is_ours = True
    async with open_client(KubernetesSpec(kubeconfig=str(file)), {}, lambda: is_ours) as client:
        await client.patch(Pod, "one", {})
        is_ours = False
        with pytest.raises(FencedError) as fenced:
            await client.patch(Pod, "one", {})
        assert explain(fenced.value) == "this controller may change nothing now: it may lead no more"
        with pytest.raises(FencedError):
            await client.delete(Pod, "one")
        await client.get(Pod, "one")
    await server.close()
    await handler.close()
    assert asked == ["PATCH", "GET"]
