"""A control plane of its own: etcd, kube-apiserver, kube-controller-manager and kube-scheduler, as processes on loopback.

Law: RBAC is on, and nobody but the administrator has rights that were not given. A start that fails leaves nothing behind.
"""

import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import httpx2

from tests.cluster.rig.api import Api, RefusedError, path_of, trusting, until
from tests.cluster.rig.binaries import find_binaries
from tests.cluster.rig.keys import CALLER, make_keys
from tests.cluster.rig.process import Process

Flags: TypeAlias = Mapping[str, str | None]
"""Flags by name, without dashes; None takes one of ours away."""

ADMIN = "admin"
API_SERVER, CONTROLLERS, SCHEDULER = "kube-apiserver", "kube-controller-manager", "kube-scheduler"
START_S = 60.0
PORTS = range(20_000, 32_000)
_KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: rig
clusters: [{{name: rig, cluster: {{server: "{url}", certificate-authority: "{authority}"}}}}]
contexts: [{{name: rig, context: {{cluster: rig, user: rig, namespace: "{namespace}"}}}}]
users: [{{name: rig, user: {{token: "{token}"}}}}]
"""


class ControlPlane:
    """Lives in `folder`, between `start` and `stop`.

    The flags given replace or add to those of ours, for each process. `users` have a token each: groups by name of the user.
    """

    def __init__(
        self,
        folder: Path,
        *,
        etcd: Flags | None = None,
        api_server: Flags | None = None,
        controllers: Flags | None = None,
        scheduler: Flags | None = None,
        users: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self._binaries = find_binaries()
        self._given = {"etcd": etcd, "api_server": api_server, "controllers": controllers, "scheduler": scheduler}
        self._groups = {ADMIN: "system:masters", **(users or {})}
        self._tokens = {user: secrets.token_urlsafe(24) for user in self._groups}
        self._etcd_port, self._peer_port, self.port = _free_ports(3)
        self._running: dict[str, Process] = {}
        self._apis: list[Api] = []
        self.url = f"https://127.0.0.1:{self.port}"
        self.authority = folder / "certificates" / "apiserver.crt"
        self.admin_kubeconfig = folder / "admin.kubeconfig"

    # ---- its life

    def start(self) -> None:
        """Start everything and wait until it works."""
        try:
            self._prepare()
            self._run("etcd", self._etcd_flags())
            self.start_api_server()
            self._write(self.admin_kubeconfig, self.token(ADMIN), "default")
            self._run(CONTROLLERS, self._controller_flags())
            self._run(SCHEDULER, self._scheduler_flags())
            admin = self.api()
            self._await(CONTROLLERS, lambda: admin.find("serviceaccounts", "default") is not None)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything."""
        for api in self._apis:
            api.close()
        for name in reversed(list(self._running)):
            self._running.pop(name).stop(gently=False)  # what they know is thrown away

    def start_api_server(self) -> None:
        """Start the API server, again perhaps, and wait until it is ready."""
        self._run(API_SERVER, self._api_server_flags())
        self._await(API_SERVER, self._is_ready)

    def stop_api_server(self, *, gently: bool = False) -> None:
        """End the API server alone."""
        self._running.pop(API_SERVER).stop(gently=gently)

    @property
    def has_api_server(self) -> bool:
        """Whether it was not stopped."""
        return API_SERVER in self._running

    def restart_controllers(self) -> None:
        """Start controllers and scheduler anew: after a long outage they take up to a minute of their own to look again."""
        for name, flags in ((CONTROLLERS, self._controller_flags()), (SCHEDULER, self._scheduler_flags())):
            self._running.pop(name).stop(gently=False)
            self._run(name, flags)

    def pid(self, name: str) -> int:
        """Return the process id of a part, by the name of its binary."""
        return self._running[name].pid

    # ---- ways in

    def token(self, user: str = ADMIN) -> str:
        """Return the token of a user that was given when this was made."""
        return self._tokens[user]

    def account_token(self, namespace: str, account: str = "default") -> str:
        """Mint a token of a service account."""
        path = path_of("serviceaccounts", namespace, account, "token")
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        return str(self.api().call("POST", path, asked)["status"]["token"])

    def api(self, namespace: str = "default", token: str = "") -> Api:
        """Open the API, as administrator unless a token is given; closed with the control plane."""
        opened = Api(self.url, self.authority, token or self.token(), namespace)
        self._apis.append(opened)
        return opened

    def kubeconfig(self, namespace: str, token: str = "", name: str = "") -> Path:
        """Write a kubeconfig, for the administrator unless a token is given."""
        path = self.folder / f"{name or namespace}.kubeconfig"
        self._write(path, token or self.token(), namespace)
        return path

    def _write(self, path: Path, token: str, namespace: str) -> None:
        text = _KUBECONFIG.format(url=self.url, authority=self.authority, namespace=namespace, token=token)
        path.write_text(text)
        path.chmod(0o600)

    # ---- its parts

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        make_keys(self.folder)
        lines = [f'{self._tokens[user]},{user},{user},"{groups}"\n' for user, groups in self._groups.items()]
        (self.folder / "tokens.csv").write_text("".join(lines))

    def _run(self, name: str, flags: Mapping[str, str]) -> None:
        argv = [self._binaries[name], *(f"--{flag}={value}" for flag, value in flags.items())]
        self._running[name] = Process(argv, self.folder / f"{name}.log")

    def _await(self, name: str, is_there: object) -> None:
        process = self._running[name]

        def has_come() -> bool:
            assert process.is_running, f"{name} ended: {process.last_words}"
            try:
                return bool(is_there())  # type: ignore[operator]
            except (httpx2.HTTPError, OSError, RefusedError):
                return False

        until(has_come, START_S)

    def _is_ready(self) -> bool:
        headers = {"Authorization": f"Bearer {self.token()}"}
        return httpx2.get(f"{self.url}/readyz", verify=trusting(self.authority), headers=headers).status_code == 200

    def _etcd_flags(self) -> Mapping[str, str]:
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{self._peer_port}"
        ours = {
            "data-dir": f"{self.folder}/etcd",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
            "log-level": "error",
        }
        return _joined(ours, self._given["etcd"])

    def _api_server_flags(self) -> Mapping[str, str]:
        keys = f"{self.folder}"
        ours = {
            "etcd-servers": f"http://127.0.0.1:{self._etcd_port}",
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "secure-port": str(self.port),
            "endpoint-reconciler-type": "none",
            "cert-dir": str(self.authority.parent),
            "token-auth-file": f"{self.folder}/tokens.csv",
            "authorization-mode": "RBAC",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": f"{keys}/accounts.key",
            "service-account-signing-key-file": f"{keys}/accounts.key",
            "service-cluster-ip-range": "10.0.0.0/24",
            "kubelet-preferred-address-types": "InternalIP",
            "default-not-ready-toleration-seconds": "1",
            "default-unreachable-toleration-seconds": "1",
            "requestheader-client-ca-file": f"{keys}/proxy-ca.crt",
            "requestheader-allowed-names": CALLER,
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-username-headers": "X-Remote-User",
            "proxy-client-cert-file": f"{keys}/proxy.crt",
            "proxy-client-key-file": f"{keys}/proxy.key",
        }
        return _joined(ours, self._given["api_server"])

    def _controller_flags(self) -> Mapping[str, str]:
        ours = {
            "kubeconfig": str(self.admin_kubeconfig),
            "service-account-private-key-file": f"{self.folder}/accounts.key",
            "root-ca-file": str(self.authority),
            "leader-elect": "false",
            "port": "0",
            "secure-port": "0",
            "kube-api-qps": "200",
            "kube-api-burst": "400",
            "node-monitor-period": "1s",
            "node-monitor-grace-period": "8s",
            "node-eviction-rate": "10",
            "secondary-node-eviction-rate": "10",
            "unhealthy-zone-threshold": "0.99",
            "horizontal-pod-autoscaler-sync-period": "1s",
            "horizontal-pod-autoscaler-downscale-stabilization": "2s",
            "horizontal-pod-autoscaler-initial-readiness-delay": "1s",
            "horizontal-pod-autoscaler-cpu-initialization-period": "1s",
        }
        return _joined(ours, self._given["controllers"])

    def _scheduler_flags(self) -> Mapping[str, str]:
        ours = {
            "kubeconfig": str(self.admin_kubeconfig),
            "leader-elect": "false",
            "port": "0",
            "secure-port": "0",
            "kube-api-qps": "200",
            "kube-api-burst": "400",
        }
        return _joined(ours, self._given["scheduler"])


def _joined(ours: Mapping[str, str], given: Flags | None) -> Mapping[str, str]:
    return {flag: value for flag, value in {**ours, **(given or {})}.items() if value is not None}


def _free_ports(count: int) -> list[int]:
    """Return ports that are free, below those that a system hands out itself: else some connection takes one before we listen."""
    ports: set[int] = set()
    while len(ports) < count:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.add(port)
    return list(ports)
