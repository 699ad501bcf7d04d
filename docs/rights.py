"""The page of rights: what toque may do in a cluster, from the rules that the chart and the tests take too."""

from toque.kube.rights import CONTROLLER, GATEWAY, Rules

_HEAD = """# Rights in a cluster

All are in one namespace; `toque deploy` gives them. Gateways of a controller need none.
"""


def rights_page() -> str:
    """Return the page."""
    return f"""{_HEAD}
## Of a controller

`toque controller`: its replicas, the ModelPools that it learns of them from, and the Lease by which it leads.

{_role("toque-controller", CONTROLLER)}
## Of one toque for all

`toque up` with `driver = "kubernetes"`: its replicas.

{_role("toque", GATEWAY)}"""


def _role(name: str, rules: Rules) -> str:
    head = f"apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{ name: {name}, namespace: models }}\nrules:\n"
    return f"```yaml\n{head}{''.join(map(_line, rules))}```\n"


def _line(rule: dict[str, list[str]]) -> str:
    parts = (f"{name}: [{', '.join(value or chr(34) * 2 for value in values)}]" for name, values in rule.items())
    return f"  - {{ {', '.join(parts)} }}\n"
