"""An API server without a cluster, for counting: objects, lists, watches, and Deployments whose Pods are ready at once.

python bench/cluster/api.py KUBECONFIG REPLICA_PORT     (its own process: writes a kubeconfig, prints a line, serves until SIGTERM)

Law: it knows enough of the API for toque and no more, keeps everything in memory, and counts every call. `GET /counts` tells them.
"""

import asyncio
import json
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from deployments import Deployments
from objects import Object, Objects, Place, matcher
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from toque.model.service_spec import LimitSpec
from toque.wire.asgi import AsgiHandler
from toque.wire.incoming import Incoming
from toque.wire.request import Request as Asked
from toque.wire.server import serve

_PATH = re.compile(
    r"/(?P<group>api/v1|apis/[^/]+/[^/]+)(/namespaces/(?P<namespace>[^/]+))?/(?P<kind>[^/]+)(/(?P<name>[^/]+)(/(?P<part>[^/]+))?)?"
)
_KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: bench
clusters: [{{name: bench, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
contexts: [{{name: bench, context: {{cluster: bench, user: bench, namespace: models}}}}]
users: [{{name: bench, user: {{token: bench}}}}]
"""
KINDS = {
    "api/v1": {"pods": "Pod", "secrets": "Secret", "events": "Event", "namespaces": "Namespace"},
    "apis/apps/v1": {"deployments": "Deployment"},
    "apis/coordination.k8s.io/v1": {"leases": "Lease"},
    "apis/events.k8s.io/v1": {"events": "Event"},
    "apis/apiextensions.k8s.io/v1": {"customresourcedefinitions": "CustomResourceDefinition"},
    "apis/toque.dev/v1alpha1": {"modelpools": "ModelPool"},
}


class Api:
    """The routes, over the objects."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._counts: Counter[str] = Counter()

    async def answer(self, request: Request) -> Response:
        """Answer any call: 1. what was counted; 2. what there may be; 3. an object, or many."""
        path = request.url.path
        if path == "/counts":  # 1
            return JSONResponse(dict(self._counts))
        match = _PATH.fullmatch(path)
        if match is None or match["group"] not in KINDS or match["kind"] not in KINDS[match["group"]]:  # 2
            self._counts["DISCOVERY"] += 1
            return _discovered(path)
        place = Place(match["group"], match["kind"], match["namespace"] or "")
        is_watch = request.query_params.get("watch", "").lower() in {"true", "1"}
        what = "WATCH" if is_watch else request.method if match["name"] or request.method != "GET" else "LIST"
        self._counts[f"{what} {match['kind']}{'/' + match['part'] if match['part'] else ''}"] += 1
        if is_watch:  # 3
            return StreamingResponse(self._watch(place, request), media_type="application/json")
        if not match["name"]:
            return await self._many(place, request)
        return await self._one(place, match["name"], match["part"] or "", request)

    async def _many(self, place: Place, request: Request) -> Response:
        if request.method == "POST":
            return JSONResponse(self._objects.put(place, json.loads(await request.body())), 201)
        wanted = matcher(request.query_params.get("labelSelector", ""), request.query_params.get("fieldSelector", ""))
        items = [each for each in self._objects.list(place) if wanted(each)]
        kind = KINDS[place.group][place.kind]
        metadata = {"resourceVersion": str(self._objects.version)}
        api_version = place.group.partition("/")[2]
        return JSONResponse({"kind": f"{kind}List", "apiVersion": api_version, "metadata": metadata, "items": items})

    async def _one(self, place: Place, name: str, part: str, request: Request) -> Response:
        found = self._objects.get(place, name)
        body = json.loads(await request.body() or b"null")
        if request.method == "PATCH" and found is None and "apply-patch" in request.headers["content-type"]:
            return JSONResponse(self._objects.put(place, body), 201)
        if found is None:
            return _refused(404, f"{place.kind} {name} not found")
        match request.method:
            case "DELETE":
                self._objects.remove(place, name)
            case "PATCH" | "PUT":
                found = self._objects.change(place, name, body)
            case _:
                pass
        return JSONResponse(_scale(found) if part == "scale" else found)

    async def _watch(self, place: Place, request: Request) -> AsyncIterator[bytes]:
        query = request.query_params
        wanted = matcher(query.get("labelSelector", ""), query.get("fieldSelector", ""))
        since = int(query.get("resourceVersion") or 0)
        ends = asyncio.get_running_loop().time() + float(query.get("timeoutSeconds") or 3600)
        async for what, changed in self._objects.follow(place, since, ends):
            if wanted(changed):
                yield json.dumps({"type": what, "object": changed}).encode() + b"\n"


def _scale(deployment: Object) -> Object:
    replicas = deployment["spec"].get("replicas", 1)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": deployment["metadata"],
        "spec": {"replicas": replicas},
        "status": {"replicas": replicas, "selector": ""},
    }


def _discovered(path: str) -> Response:
    """Say what groups, versions and kinds there are."""
    groups = [group.removeprefix("apis/") for group in KINDS if group.startswith("apis/")]
    if path == "/version":
        return JSONResponse({"major": "1", "minor": "31", "gitVersion": "v1.31.0"})
    if path == "/api":
        return JSONResponse({"kind": "APIVersions", "versions": ["v1"]})
    if path == "/apis":
        listed: list[Any] = [
            {
                "name": group.partition("/")[0],
                "versions": [{"groupVersion": group, "version": group.partition("/")[2]}],
                "preferredVersion": {"groupVersion": group, "version": group.partition("/")[2]},
            }
            for group in groups
        ]
        return JSONResponse({"kind": "APIGroupList", "apiVersion": "v1", "groups": listed})
    if path.strip("/") in KINDS:
        return JSONResponse(_resources(path.strip("/")))
    return _refused(404, f"there is no {path}")


def _resources(group: str) -> Object:
    verbs = ["get", "list", "watch", "create", "update", "patch", "delete"]
    named: list[Object] = []
    for plural, kind in KINDS[group].items():
        is_namespaced = plural not in {"customresourcedefinitions", "namespaces"}
        told = {"singularName": kind.lower(), "namespaced": is_namespaced, "kind": kind, "verbs": verbs}
        named.append({"name": plural, **told})
        named.append({"name": f"{plural}/status", **told})
    return {"kind": "APIResourceList", "groupVersion": group.partition("/")[2], "resources": named}


def _refused(code: int, message: str) -> Response:
    told = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}
    return JSONResponse({**told, "reason": "NotFound", "metadata": {}}, code)


def application(objects: Objects) -> Starlette:
    """Make the ASGI application."""
    methods = ["GET", "POST", "PATCH", "PUT", "DELETE"]
    return Starlette(routes=[Route("/{path:path}", Api(objects).answer, methods=methods)])


async def healthy(_request: Request) -> Response:
    """Answer as every replica of the simulated nodes."""
    return JSONResponse({"status": "ok"})


async def main() -> None:
    """Serve the API, and on the other port all replicas."""
    kubeconfig, replica_port = Path(sys.argv[1]), int(sys.argv[2])
    objects = Objects()
    objects.controllers.append(Deployments(objects))
    limits = LimitSpec(connections_max=20_000)
    api = AsgiHandler(application(objects))
    replicas = AsgiHandler(Starlette(routes=[Route("/health", healthy)]))

    def begin(request: Asked, connection: Incoming) -> Any:
        return api(request, connection)

    server = await serve(("127.0.0.1", 0), begin, limits)
    nodes = await serve(("0.0.0.0", replica_port), replicas, limits)
    await asyncio.to_thread(kubeconfig.write_text, _KUBECONFIG.format(port=server.port))
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    print(server.port, flush=True)
    await stopped.wait()
    for listening in (server, nodes):
        await listening.close()


if __name__ == "__main__":
    asyncio.run(main())
