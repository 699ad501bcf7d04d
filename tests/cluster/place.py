"""A cluster as stories see it: a control plane with machines, and a namespace in it where toque has the rights that its guide names."""

import itertools
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.rig import Api, ControlPlane, Image, Machines
from tests.cluster.rig.api import YAML, path_of

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "kubernetes.md"
ACCOUNT = "toque"
TOQUE = "registry.test/toque:1"
"""Image of toque itself; `:2` is another one with the same in it."""
IMAGES = {name: Image((sys.executable, "-m", "toque")) for name in (TOQUE, "registry.test/toque:2")}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Cluster:
    """A control plane with machines."""

    plane: ControlPlane
    machines: Machines


@dataclass(frozen=True)
class Place:
    """A namespace for one story. `api` is the administrator's; `kubeconfig` that of an account with the rights that the guide gives toque."""

    cluster: Cluster
    namespace: str
    api: Api
    kubeconfig: Path

    @property
    def machines(self) -> Machines:
        """Those of its cluster."""
        return self.cluster.machines


@contextmanager
def running(folder: Path, machines: int = 2, **flags: Any) -> Iterator[Cluster]:
    """Run a control plane with so many machines, `one` and `two` and so on."""
    plane = ControlPlane(folder / "plane", **flags)
    plane.start()
    try:
        made = Machines(plane, folder / "pods", IMAGES)
        made.start()
        try:
            for name in ("one", "two", "three", "four")[:machines]:
                made.add(name)
            yield Cluster(plane, made)
        finally:
            made.stop()
    finally:
        plane.stop()


@contextmanager
def namespace(cluster: Cluster) -> Iterator[Place]:
    """Make a namespace in which the account `toque` has the rights that the guide names."""
    name, plane = f"story-{next(_numbers)}", cluster.plane
    api = plane.api(name)
    plane.api("").create("namespaces", {"metadata": {"name": name}})
    api.create("serviceaccounts", {"metadata": {"name": ACCOUNT}})
    api.call("POST", path_of("roles", name), guided_role().replace("namespace: models", f"namespace: {name}"), YAML)
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": name}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT}
    api.create("rolebindings", {"metadata": {"name": ACCOUNT}, "roleRef": reference, "subjects": [subject]})
    api.until(lambda api: api.find("serviceaccounts", "default"))
    try:
        yield Place(cluster, name, api, plane.kubeconfig(name, plane.account_token(name, ACCOUNT)))
    finally:
        plane.api("").delete("namespaces", name)


def guided_role() -> str:
    """Return the Role that the guide tells people to give toque, as it is written there."""
    found = re.search(r"```yaml\n(apiVersion: rbac.*?)```", GUIDE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]
