"""What a model's replicas are in a cluster: safe by default, and the same model is always the same version."""

from dataclasses import replace
from typing import Any, cast

import pytest

from toque.kube.manifests import deployment, pod, secret, version_of
from toque.kube.words import fleet_labels, object_name, pool_labels, safe_name
from toque.model.agent_spec import AgentSpec, ModelSpec
from toque.model.isolation_spec import IsolationSpec
from toque.model.pod_spec import PodSpec
from toque.model.spec import PoolSpec, ReplicaBounds

CHAT = ModelSpec(PoolSpec("chat"), AgentSpec("fake"), pod=PodSpec("registry.example/chat:1"))


def container(model: ModelSpec) -> dict[str, Any]:
    (made,) = cast(list[dict[str, Any]], pod(model, "slots = 1", "toque")["containers"])
    return made


def test_a_deployment_finds_its_own_pods_and_no_others() -> None:
    version = version_of(CHAT, "slots = 1", "toque")
    made: Any = deployment(version, 3)
    assert made["metadata"]["name"] == version.name == f"toque-chat-{version.mark}"
    assert made["spec"]["replicas"] == 3
    assert made["spec"]["selector"]["matchLabels"] == made["spec"]["template"]["metadata"]["labels"]
    assert made["metadata"]["labels"].items() >= fleet_labels("toque").items()
    assert made["metadata"]["annotations"] == {"toque.dev/model": "chat"}


def test_a_pod_keeps_to_pod_security_restricted() -> None:
    spec: Any = pod(CHAT, "", "toque")
    inner = container(CHAT)
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert inner["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not spec["automountServiceAccountToken"]


def test_the_secret_is_only_named_in_what_everybody_may_read() -> None:
    made: Any = secret("chat", "toque", "canary")
    names = {entry["name"]: entry for entry in container(CHAT)["env"]}
    assert names["TOQUE_REPLICA_SECRET"]["valueFrom"]["secretKeyRef"] == {"name": "toque-chat", "key": "secret"}
    assert made["stringData"] == {"secret": "canary"}
    assert "canary" not in str(deployment(version_of(CHAT, "", "toque"), 1))


def test_it_runs_toque_replica_with_the_settings_of_its_model() -> None:
    inner = container(CHAT)
    assert inner["args"] == ["replica", "chat", "--listen", "0.0.0.0:8080"]
    assert inner["env"][0] == {"name": "TOQUE_REPLICA_SETTINGS", "value": "slots = 1"}
    own = replace(CHAT, pod=PodSpec("a", command=("serve", "--quietly"), port=9000))
    assert container(own)["command"] == ["serve", "--quietly"]
    assert "args" not in container(own)


def test_devices_and_maxima_are_limits_and_what_the_pod_says_goes_first() -> None:
    asked = PodSpec("a", requests={"cpu": 0.5}, limits={"memory": "4Gi", "nvidia.com/gpu": 1})
    model = replace(CHAT, pod=asked, isolation=IsolationSpec(cpu_max=1.5, memory_bytes_max=2**30))
    assert container(model)["resources"] == {
        "requests": {"cpu": "0.5"},
        "limits": {"cpu": "1.5", "memory": "4Gi", "nvidia.com/gpu": "1"},
    }


def test_where_it_runs_is_said_only_where_something_was_said() -> None:
    assert not {"nodeSelector", "tolerations", "priorityClassName"} & pod(CHAT, "", "toque").keys()
    asked = PodSpec(
        "a", node_selector={"gpu": "h200"}, tolerations=("gpu=yes:NoSchedule", "spot"), priority_class="low"
    )
    made = pod(replace(CHAT, pod=asked), "", "toque")
    assert made["nodeSelector"] == {"gpu": "h200"}
    assert made["tolerations"] == [
        {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Exists"},
    ]
    assert made["priorityClassName"] == "low"


def test_another_image_or_other_settings_are_another_version_and_bounds_are_not() -> None:
    first = version_of(CHAT, "slots = 1", "toque")
    bounds = replace(CHAT, pool=PoolSpec("chat", replicas=ReplicaBounds(maximum=9, startup_timeout_s=5)))
    assert version_of(bounds, "slots = 1", "toque").mark == first.mark
    assert version_of(CHAT, "slots = 2", "toque").mark != first.mark
    assert version_of(replace(CHAT, pod=PodSpec("registry.example/chat:2")), "slots = 1", "toque").mark != first.mark


def test_whoever_owns_it_takes_it_along() -> None:
    owner = {"apiVersion": "toque.dev/v1alpha1", "kind": "ModelPool", "name": "chat", "uid": "1"}
    made: Any = deployment(version_of(CHAT, "", "toque", owner), 1)
    kept: Any = secret("chat", "toque", "x", owner)
    assert made["metadata"]["ownerReferences"] == kept["metadata"]["ownerReferences"] == [owner]


@pytest.mark.parametrize(
    ("name", "safe"),
    [("chat", "chat"), ("qwen2.5:0.5B", "qwen2-5-0-5b-2c8455"), ("a" * 128, "a" * 40 + "-6836cf")],
)
def test_every_model_has_a_name_that_kubernetes_takes(name: str, safe: str) -> None:
    assert safe_name(name) == safe
    assert object_name(name) == f"toque-{safe}"
    assert pool_labels("toque", name)["toque.dev/pool"] == safe
