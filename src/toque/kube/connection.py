"""How a cluster is reached: as one of its Pods, or by a kubeconfig.

Law: no connection is made before something is asked; credentials stay inside the client and are in no message.
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping

import httpx2
import lightkube
from lightkube.config.client_adapter import verify_cluster
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.core.exceptions import ConfigError as BadKubeconfig

from toque.kube.words import MANAGER
from toque.model.errors import ConfigError
from toque.model.pod_spec import KubernetesSpec

IN_CLUSTER = "KUBERNETES_SERVICE_HOST"
USUAL_KUBECONFIG = "~/.kube/config"
KEEP_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
"""A watch is silent for hours where nothing happens: the kernel finds out within 25 s that its server is gone."""


CALLS_MAX = 16
"""Calls under way at once, watches not counted. More are not answered sooner, and each costs the HTTP client a look at all others."""


class _Orderly(httpx2.AsyncHTTPTransport):
    """Lets so many calls through at once; the others wait their turn."""

    def __init__(self, *, verify: ssl.SSLContext | bool) -> None:
        super().__init__(verify=verify, socket_options=KEEP_ALIVE)
        self._room = asyncio.Semaphore(CALLS_MAX)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Make a call when it is its turn; a watch at once, for it takes its place for minutes."""
        if request.url.params.get("watch"):
            return await super().handle_async_request(request)
        async with self._room:
            return await super().handle_async_request(request)


def open_client(spec: KubernetesSpec, environment: Mapping[str, str]) -> lightkube.AsyncClient:
    """Return a client of the cluster; whoever opens it closes it. Raises `ConfigError` where none is to be found."""
    where = spec.kubeconfig or ("" if IN_CLUSTER in environment else environment.get("KUBECONFIG", USUAL_KUBECONFIG))
    try:
        found = _context(where)
        return lightkube.AsyncClient(
            found, namespace=spec.namespace or None, field_manager=MANAGER, transport=_transport(found)
        )
    except Exception as error:  # whatever reading a file of somebody else's may raise, it is that file
        raise ConfigError(
            f"No cluster can be reached by {where or 'the service account of this Pod'}: {error}",
            fix="Name a file with [kubernetes] kubeconfig, or set KUBECONFIG.",
        ) from error


def _context(where: str) -> SingleConfig:
    config = KubeConfig.from_file(where) if where else KubeConfig.from_service_account()
    found = config.get()
    if found is None or found.user is None:
        raise BadKubeconfig("its context names no user")
    return found


def _transport(config: SingleConfig) -> httpx2.AsyncHTTPTransport:
    assert config.user is not None
    verify = verify_cluster(config.cluster, config.user, config.abs_file, trust_env=True)
    return _Orderly(verify=verify)
