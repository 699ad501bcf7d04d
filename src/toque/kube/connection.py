"""How a cluster is reached: as one of its Pods, or by a kubeconfig.

Law: no connection is made before something is asked; credentials stay inside the client and are in no message.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import httpx2
import lightkube
from lightkube.config.client_adapter import verify_cluster
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.core.exceptions import ConfigError as BadKubeconfig

from toque.kube.trouble import FencedError
from toque.kube.words import MANAGER
from toque.model.errors import ConfigError
from toque.model.pod_spec import KubernetesSpec

Client: TypeAlias = lightkube.AsyncClient
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


MayWrite: TypeAlias = Callable[[], bool]
"""Whether we may change anything in the cluster now; asked before each call that does."""


class _Orderly(httpx2.AsyncHTTPTransport):
    """Lets so many calls through at once; the others wait their turn. What we may not write never leaves."""

    def __init__(self, *, verify: ssl.SSLContext | bool, may_write: MayWrite) -> None:
        super().__init__(verify=verify, socket_options=KEEP_ALIVE)
        self._room = asyncio.Semaphore(CALLS_MAX)
        self._may_write = may_write

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Make a call when it is its turn; a watch at once, for it takes its place for minutes."""
        if request.url.params.get("watch"):
            return await super().handle_async_request(request)
        async with self._room:
            if request.method != "GET" and not self._may_write():
                raise FencedError("not ours to change now", request=request)
            return await super().handle_async_request(request)


@dataclass(frozen=True, slots=True)
class Access:
    """A cluster and who we are there, for a client that is not ours. Texts that are not said are None."""

    server: str
    insecure: bool
    ca_path: str | None = None
    ca_data: str | None = None
    token: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    certificate_path: str | None = None
    certificate_data: str | None = None
    private_key_path: str | None = None
    private_key_data: str | None = field(default=None, repr=False)


def read_access(spec: KubernetesSpec, environment: Mapping[str, str]) -> Access:
    """Return how the cluster is reached, read anew, for tokens change. Raises `ConfigError` where that is not to be found."""
    where = _place(spec, environment)
    try:
        return _access(_context(where))
    except Exception as error:  # whatever reading a file of somebody else's may raise, it is that file
        raise _unreachable(where, error) from error


def _access(found: SingleConfig) -> Access:
    assert found.user is not None
    cluster, user = found.cluster, found.user
    if user.exec is not None or user.auth_provider is not None:
        raise BadKubeconfig("its user is known by running a program, which a controller does not do")
    files = (cluster.certificate_auth, user.client_cert, user.client_key)
    ca, certificate, key = (str(found.abs_file(name)) if name else None for name in files)
    token = Path(found.abs_file(user.token_file)).read_text("utf-8").strip() if user.token_file else user.token
    return Access(
        server=cluster.server,
        insecure=bool(cluster.insecure),
        ca_path=None if cluster.certificate_auth_data else ca,
        ca_data=cluster.certificate_auth_data,
        token=token,
        username=user.username,
        password=user.password,
        certificate_path=None if user.client_cert_data else certificate,
        certificate_data=user.client_cert_data,
        private_key_path=None if user.client_key_data else key,
        private_key_data=user.client_key_data,
    )


def open_client(
    spec: KubernetesSpec, environment: Mapping[str, str], may_write: MayWrite = lambda: True
) -> lightkube.AsyncClient:
    """Return a client of the cluster; whoever opens it closes it. Raises `ConfigError` where none is to be found."""
    where = _place(spec, environment)
    try:
        found = _context(where)
        return lightkube.AsyncClient(
            found, namespace=spec.namespace or None, field_manager=MANAGER, transport=_transport(found, may_write)
        )
    except Exception as error:  # whatever reading a file of somebody else's may raise, it is that file
        raise _unreachable(where, error) from error


def _place(spec: KubernetesSpec, environment: Mapping[str, str]) -> str:
    """Return the file that says how; empty for the service account of this Pod."""
    return spec.kubeconfig or ("" if IN_CLUSTER in environment else environment.get("KUBECONFIG", USUAL_KUBECONFIG))


def _unreachable(where: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"No cluster can be reached by {where or 'the service account of this Pod'}: {error}",
        fix="Name a file with [kubernetes] kubeconfig, or set KUBECONFIG.",
    )


def _context(where: str) -> SingleConfig:
    config = KubeConfig.from_file(where) if where else KubeConfig.from_service_account()
    found = config.get()
    if found is None or found.user is None:
        raise BadKubeconfig("its context names no user")
    return found


def _transport(config: SingleConfig, may_write: MayWrite) -> httpx2.AsyncHTTPTransport:
    assert config.user is not None
    verify = verify_cluster(config.cluster, config.user, config.abs_file, trust_env=True)
    return _Orderly(verify=verify, may_write=may_write)
