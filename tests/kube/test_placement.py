"""Where Pods may run and how they spread: said only where it was said, in Kubernetes' words."""

from dataclasses import replace
from typing import Any

import pytest

from toque.kube.manifests import pod
from toque.kube.placement import disruption_budget, placement
from toque.kube.words import pool_labels
from toque.model.agent_spec import AgentSpec, ModelSpec
from toque.model.pod_spec import PodSpec
from toque.model.spec import PoolSpec

CHAT = ModelSpec(PoolSpec("chat"), AgentSpec("fake"), pod=PodSpec("registry.example/chat:1"))


def placed(**settings: Any) -> Any:
    return placement(replace(CHAT, pod=PodSpec("a", **settings)), "toque")


def test_who_says_nothing_is_placed_as_the_cluster_likes() -> None:
    assert placed() == {}


def test_requirements_must_all_hold_and_each_preference_weighs_twice_the_next() -> None:
    made = placed(node_required=("gpu in (a, b)", "!spot"), node_preferred=("disk=nvme", "cores>16"))
    assert made["affinity"]["nodeAffinity"] == {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {
                    "matchExpressions": [
                        {"key": "gpu", "operator": "In", "values": ["a", "b"]},
                        {"key": "spot", "operator": "DoesNotExist"},
                    ]
                }
            ]
        },
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {
                "weight": 100,
                "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["nvme"]}]},
            },
            {"weight": 50, "preference": {"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["16"]}]}},
        ],
    }
    weights = [
        one["weight"]
        for one in placed(node_preferred=("a",) * 9)["affinity"]["nodeAffinity"][
            "preferredDuringSchedulingIgnoredDuringExecution"
        ]
    ]
    assert weights == [100, 50, 25, 12, 6, 3, 1, 1, 1]


def test_all_versions_of_a_model_are_spread_together() -> None:
    made = placed(spread=("topology.kubernetes.io/zone", "kubernetes.io/hostname=2:DoNotSchedule"))
    selector = {"matchLabels": pool_labels("toque", "chat")}
    assert made["topologySpreadConstraints"] == [
        {
            "topologyKey": "topology.kubernetes.io/zone",
            "maxSkew": 1,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": selector,
        },
        {
            "topologyKey": "kubernetes.io/hostname",
            "maxSkew": 2,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": selector,
        },
    ]


def test_a_budget_covers_all_versions_of_a_model() -> None:
    made: Any = disruption_budget(replace(CHAT, pod=PodSpec("a", disruptions_max=2)), "toque")
    assert made["metadata"]["name"] == "toque-chat"
    assert made["spec"] == {"maxUnavailable": 2, "selector": {"matchLabels": pool_labels("toque", "chat")}}


@pytest.mark.parametrize(
    ("weights", "volume", "mount"),
    [
        (
            "claim:store",
            {"name": "weights", "persistentVolumeClaim": {"claimName": "store", "readOnly": True}},
            {"name": "weights", "mountPath": "/models", "readOnly": True},
        ),
        ("scratch", {"name": "weights", "emptyDir": {}}, {"name": "weights", "mountPath": "/models"}),
    ],
)
def test_weights_that_are_not_in_the_image_have_a_volume(weights: str, volume: object, mount: object) -> None:
    made: Any = pod(replace(CHAT, pod=PodSpec("a", weights=weights)), "", "toque")
    assert made["volumes"][1:] == [volume]
    assert made["containers"][0]["volumeMounts"][1:] == [mount]
    plain: Any = pod(CHAT, "", "toque")
    assert [each["name"] for each in plain["volumes"]] == ["scratch"]
