"""The rights that toque needs in a cluster, as the rules of RBAC: the chart, the pages and the tests take them from here.

Law: all of them are in one namespace, and each is used; what is made by name is named.
"""

from typing import TypeAlias

from toque.kube.words import LEASE
from toque.model.pool_object import GROUP, PLURAL

Rules: TypeAlias = tuple[dict[str, list[str]], ...]


def _rule(group: str, resources: list[str], verbs: list[str], names: tuple[str, ...] = ()) -> dict[str, list[str]]:
    rule = {"apiGroups": [group], "resources": resources, "verbs": verbs}
    return rule | {"resourceNames": list(names)} if names else rule


GATEWAY: Rules = (
    _rule("apps", ["deployments"], ["get", "list", "watch", "create", "patch", "delete"]),
    _rule("apps", ["deployments/scale"], ["get", "patch"]),
    _rule("", ["pods"], ["get", "list", "watch", "patch", "delete"]),
    _rule("", ["pods/status"], ["patch"]),
    _rule("", ["secrets"], ["get", "create", "delete"]),
    _rule("", ["events"], ["list"]),
    _rule("policy", ["poddisruptionbudgets"], ["create", "patch", "delete"]),
)
"""What `toque up` with driver = "kubernetes" asks the cluster for: its replicas."""

CONTROLLER: Rules = (
    *GATEWAY,
    _rule("", ["events"], ["create"]),
    _rule(GROUP, [PLURAL], ["get", "list", "watch", "patch"]),
    _rule(GROUP, [f"{PLURAL}/status"], ["patch"]),
    _rule("coordination.k8s.io", ["leases"], ["create"]),
    _rule("coordination.k8s.io", ["leases"], ["get", "update"], (LEASE,)),
)
"""What `toque controller` asks for: its replicas, the ModelPools it learns of them from, and the Lease by which it leads."""

DRAIN: Rules = (_rule(GROUP, [PLURAL], ["list", "delete"]),)
"""What `toque deploy drain` asks for."""
