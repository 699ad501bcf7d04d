"""What stands around toque's Pods: who may talk to whom, who goes first, and how Prometheus finds them.

Law: replicas are reached by their fleet's gateways and controllers, and by nobody else.
"""

from toque.deploy.parts import IS_FLEET
from toque.deploy.tree import Both, Each, Has, Item, Joined, Name, Namespace, Not, Told, Tree, Value, When
from toque.deploy.words import (
    API_PORT,
    CLUSTER_PORT,
    CONTROLLER,
    GATEWAY,
    KEDA_PORT,
    METRICS_API_PORT,
    METRICS_PORT,
    REPLICA,
    Table,
    labels,
    metadata,
)
from toque.kube.words import FLEET_LABEL

DNS_PORT = 53


def network_policies() -> list[Tree]:
    """Return who may talk to whom."""
    enabled = Has("networkPolicy.enabled")
    return [
        When(enabled, _policy(REPLICA, _into_replicas())),
        When(enabled, _policy(GATEWAY, {"policyTypes": ["Ingress"], "ingress": [_ports(API_PORT, METRICS_PORT)]})),
        When(Both(IS_FLEET, enabled), _policy(CONTROLLER, _into_controllers())),
    ]


def priority_classes() -> list[Tree]:
    """Return who goes first; they belong to the whole cluster."""
    return [
        When(
            Has("priority.interactive"),
            _class("interactive", "People wait for these Pods.", "PreemptLowerPriority"),
        ),
        When(Has("priority.batch"), _class("batch", "These Pods work off a backlog; they push nobody away.", "Never")),
    ]


def service_monitor() -> Tree:
    """Return how Prometheus finds metrics."""
    parts: list[Tree] = [{"key": "app.kubernetes.io/component", "operator": "In", "values": [GATEWAY, CONTROLLER]}]
    named: Table = {"app.kubernetes.io/name": "toque"}
    made: Table = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": Name(), "namespace": Namespace(), "labels": Joined(named, "serviceMonitor.labels")},
        "spec": {
            "selector": {"matchLabels": {FLEET_LABEL: Name()}, "matchExpressions": parts},
            "endpoints": [{"port": "metrics", "interval": Told("serviceMonitor.intervalS", "s")}],
        },
    }
    return When(Has("serviceMonitor.enabled"), made)


def _class(kind: str, why: str, preemption: str) -> Table:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": Value(f"priority.{kind}"), "labels": {"app.kubernetes.io/name": "toque"}},
        "value": Value(f"priority.{kind}Value"),
        "preemptionPolicy": preemption,
        "description": why,
    }


def _policy(component: str, spec: Table) -> Table:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(component),
        "spec": {"podSelector": {"matchLabels": labels(component)}, **spec},
    }


def _from(*components: str) -> Table:
    """Those of this fleet."""
    chosen: Table = {"key": "app.kubernetes.io/component", "operator": "In", "values": list(components)}
    return {"from": [{"podSelector": {"matchLabels": {FLEET_LABEL: Name()}, "matchExpressions": [chosen]}}]}


def _ports(*numbers: int) -> Table:
    return {"ports": [{"protocol": "TCP", "port": number} for number in numbers]}


def _into_replicas() -> Table:
    dns: list[Tree] = [{"protocol": protocol, "port": DNS_PORT} for protocol in ("UDP", "TCP")]
    cidrs: Table = {"to": [Each("networkPolicy.cidrs", {"ipBlock": {"cidr": Item()}})]}
    nothing = Both(
        Not(Has("networkPolicy.dns")), Not(Has("networkPolicy.cidrs"))
    )  # an empty list is not kept as it was applied
    allowed: list[Tree] = [
        When(Has("networkPolicy.dns"), {"ports": dns}),
        When(Has("networkPolicy.cidrs"), cidrs),
    ]
    return {
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [_from(GATEWAY, CONTROLLER)],
        "egress": When(Not(nothing), allowed),
    }


def _into_controllers() -> Table:
    keda: Tree = When(Has("controller.keda"), {"protocol": "TCP", "port": KEDA_PORT})
    metrics_api: Tree = When(Has("metricsApi.secret"), {"protocol": "TCP", "port": METRICS_API_PORT})
    return {
        "policyTypes": ["Ingress"],
        "ingress": [
            {**_from(GATEWAY), **_ports(CLUSTER_PORT)},
            {"ports": [{"protocol": "TCP", "port": METRICS_PORT}, keda, metrics_api]},
        ],
    }
