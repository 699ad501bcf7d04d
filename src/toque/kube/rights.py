"""What toque may do in its namespace, as rules of a Role: no more than this, and in one place.

Law: a rule names its verbs one by one; there is no star in it, and nothing that reaches beyond the namespace.
"""

from toque.kube.words import GROUP, Manifest


def _rule(group: str, resource: str, *verbs: str) -> Manifest:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}


DRIVER_RULES = (
    _rule("apps", "deployments", "get", "list", "watch", "create", "patch", "delete"),
    _rule("apps", "deployments/scale", "get", "patch"),
    _rule("", "pods", "get", "list", "watch", "patch", "delete"),
    _rule("", "pods/status", "patch"),
    _rule("", "secrets", "get", "create", "delete"),
    _rule("", "events", "list"),
    _rule("policy", "poddisruptionbudgets", "create", "patch", "delete"),
)
"""What the driver `kubernetes` needs, wherever it runs."""
CONTROLLER_RULES = (
    *DRIVER_RULES,
    _rule(GROUP, "modelpools", "get", "list", "watch", "patch"),
    _rule(GROUP, "modelpools/status", "get", "patch", "update"),
    _rule(GROUP, "modelpools/finalizers", "update"),
    _rule("coordination.k8s.io", "leases", "get", "create", "update", "patch"),
    _rule("", "events", "create", "patch"),
)
"""What a controller needs: ModelPools and the Lease of its election besides."""
