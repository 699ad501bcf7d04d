"""Real controllers in a real cluster: `toque controller` processes with the rights that the guide names, and ModelPools to apply."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.place import TOQUE, Place
from tests.cluster.rig import RefusedError
from tests.service import Service, call, started, until
from toque.config.crd import modelpool_crd
from toque.kube.rights import CONTROLLER

ACCOUNT = "toque-controller"
TEN_LINES = f"""\
apiVersion: toque.dev/v1alpha1
kind: ModelPool
metadata:
  name: chat
spec:
  agent: fake
  slots: 4
  pod:
    image: {TOQUE}
  replicas: {{ minimumWarm: 1, maximum: 4 }}
"""
QUICK = {"restart": {"backoffSMin": 0.2, "backoffSMax": 2.0}, "options": {"ttft_s": 0.02, "tokens": 5}}


def pool(name: str = "chat", warm: int = 1, maximum: int = 4, image: str = TOQUE, **spec: Any) -> dict[str, Any]:
    """A ModelPool of the fake agent."""
    made = {
        "agent": "fake",
        "slots": 4,
        "pod": {"image": image, "terminationGraceS": 5},
        "replicas": {"minimumWarm": warm, "maximum": maximum},
        **QUICK,
        **spec,
    }
    return {"apiVersion": "toque.dev/v1alpha1", "kind": "ModelPool", "metadata": {"name": name}, "spec": made}


@dataclass(frozen=True)
class Controlled:
    """A namespace with ModelPools. Controllers are started in it by `controller`."""

    place: Place
    folder: Path
    kubeconfig: Path

    @contextmanager
    def controller(self, name: str = "a", settings: str = "") -> Iterator[Service]:
        """Run one; killed at the end, by its id, if it is there still."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        path = folder / "toque.toml"
        path.write_text(f'admin_listen = "127.0.0.1:0"\n{settings}\n[kubernetes]\nkubeconfig = "{self.kubeconfig}"\n')
        with started(["controller", "--json", "--config", str(path)], folder, None) as service:
            service.admin_url = service.announces("StandsReady")["admin_url"]
            try:
                yield service
            except BaseException:
                print(f"controller {name} said:", *service.announced, "".join(service.errors), sep="\n")
                raise

    def kubectl(self, *words: str, content: str = "", is_good: bool = True) -> str:
        """Run kubectl as the administrator, in this namespace; returns what it says, its errors too."""
        command = [
            "kubectl",
            "--kubeconfig",
            str(self.place.cluster.plane.admin_kubeconfig),
            "-n",
            self.place.namespace,
            *words,
        ]
        done = subprocess.run(command, input=content, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode == 0) is is_good, done.stdout + done.stderr
        return done.stdout + done.stderr

    def apply(self, content: str | dict[str, Any]) -> str:
        """kubectl apply."""
        text = content if isinstance(content, str) else json.dumps(content)
        return self.kubectl("apply", "-f", "-", content=text)

    def status(self, name: str = "chat") -> dict[str, Any]:
        """The status of a ModelPool; empty before it has one."""
        found = self.place.api.find("modelpools", name)
        return dict((found or {}).get("status") or {})

    def condition(self, kind: str, name: str = "chat") -> dict[str, Any]:
        """One of its conditions; empty before it has that."""
        return next((dict(each) for each in self.status(name).get("conditions", []) if each["type"] == kind), {})

    def ready(self, count: int, name: str = "chat", within_s: float = 30.0) -> None:
        """Wait until its status tells so many ready replicas."""
        until(lambda: self.status(name).get("ready") == count, within_s)

    def holder(self) -> str:
        """Who leads, as the Lease has it."""
        lease = self.place.api.find("leases", "toque-controller") or {}
        return str(lease.get("spec", {}).get("holderIdentity") or "")


def leads(service: Service) -> bool:
    """Whether this controller says that it leads."""
    status, _, body = call(service.admin_url, "GET", "/admin/v1/pools")
    assert status == 200, body
    return " leads, and answers here" in json.loads(body)["leader"]


@contextmanager
def controlled(place: Place, folder: Path) -> Iterator[Controlled]:
    """Give a place the definition of ModelPool, and an account with the rights of a controller."""
    plane, api = place.cluster.plane, place.api
    with suppress(RefusedError):  # another story of this cluster was first
        plane.api("").create("customresourcedefinitions", modelpool_crd())
    api.create("serviceaccounts", {"metadata": {"name": ACCOUNT}})
    api.create("roles", {"metadata": {"name": ACCOUNT}, "rules": list(CONTROLLER)})
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": place.namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT}
    api.create("rolebindings", {"metadata": {"name": ACCOUNT}, "roleRef": reference, "subjects": [subject]})
    until(lambda: _knows_pools(place))
    token = plane.account_token(place.namespace, ACCOUNT)
    kubeconfig = plane.kubeconfig(place.namespace, token, f"{place.namespace}-controller")
    made = Controlled(place, folder, kubeconfig)
    try:
        yield made
    finally:
        for left in api.list("modelpools"):  # nobody is there any more who would see them off
            api.patch("modelpools", left["metadata"]["name"], {"metadata": {"finalizers": []}})


def _knows_pools(place: Place) -> bool:
    try:
        place.api.list("modelpools")
    except Exception:
        return False
    return True
