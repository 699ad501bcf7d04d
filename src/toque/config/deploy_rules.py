"""Contradictions in what a deployment is made of: what no cluster would take.

Law: as in `rules.py`; what must be there only to deploy, such as an image, is asked for by `toque deploy`.
"""

import ipaddress
from collections.abc import Iterator

from toque.config.contradiction import Contradiction
from toque.config.pod_rules import read_amount
from toque.model.deploy_spec import ControllerPods, DeploySpec, GatewayPods
from toque.model.placement import read_toleration


def deploy_contradictions(deploy: DeploySpec) -> Iterator[Contradiction]:
    """Yield what does not hold in `[deploy]`."""
    yield from _pods("gateway", deploy.gateway)
    yield from _pods("controller", deploy.controller)
    if 0 < deploy.gateway.pods_max < deploy.gateway.pods:
        yield Contradiction(
            ("deploy", "gateway", "pods_max"),
            f"pods_max {deploy.gateway.pods_max} is below pods {deploy.gateway.pods}.",
            "Raise the one, or write 0 for no autoscaler.",
        )
    for text in deploy.network_policy.cidrs:
        try:
            ipaddress.ip_network(text)
        except ValueError:
            yield Contradiction(
                ("deploy", "network_policy", "cidrs"),
                f"{text!r} is no network.",
                'Write "10.1.0.0/16", or "192.0.2.7/32" for one address.',
            )


def _pods(table: str, pods: GatewayPods | ControllerPods) -> Iterator[Contradiction]:
    for setting in ("cpu", "memory", "memory_max"):
        if read_amount(getattr(pods, setting)) is None:
            yield Contradiction(
                ("deploy", table, setting),
                f"{setting} {getattr(pods, setting)!r} is no amount.",
                'Write "500m" or "256Mi".',
            )
            return
    if (read_amount(pods.memory) or 0) > (read_amount(pods.memory_max) or 0):
        yield Contradiction(
            ("deploy", table, "memory"), "memory is above memory_max.", "Raise the one or lower the other."
        )
    for text in pods.tolerations:
        try:
            read_toleration(text)
        except ValueError as error:
            yield Contradiction(
                ("deploy", table, "tolerations"), f"{error}.", 'Write "KEY=VALUE:NoSchedule", "KEY:NoExecute" or "KEY".'
            )
