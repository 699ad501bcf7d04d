"""Every Pod of a replica may run in a namespace that enforces Pod Security "restricted", whatever its settings are."""

from typing import Any

import kubernetes_validate
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pod_security import violations
from toque.kube.manifests import deployment, version_of
from toque.kube.placement import disruption_budget
from toque.model.agent_spec import AgentSpec, ModelSpec
from toque.model.isolation_spec import IsolationSpec
from toque.model.pod_spec import PodSpec
from toque.model.spec import PoolSpec

KUBERNETES = "1.35"
PODS = st.builds(
    PodSpec,
    image=st.sampled_from(("chat:1", "registry.example/chat@sha256:0123")),
    image_pull=st.sampled_from(("IfNotPresent", "Always")),
    image_pull_secrets=st.sampled_from(((), ("registry",))),
    port=st.integers(1024, 65535),
    command=st.sampled_from(((), ("serve", "--quietly"))),
    requests=st.sampled_from(({}, {"cpu": 0.5, "memory": "1Gi"})),
    limits=st.sampled_from(({}, {"memory": "4Gi", "nvidia.com/gpu": 1})),
    node_selector=st.sampled_from(({}, {"disk": "nvme", "fast": True})),
    node_required=st.sampled_from(((), ("gpu in (a, b)", "!spot"))),
    node_preferred=st.sampled_from(((), ("disk=nvme", "cores>16"))),
    tolerations=st.sampled_from(((), ("gpu=yes:NoSchedule", "spot"))),
    spread=st.sampled_from(((), ("topology.kubernetes.io/zone", "kubernetes.io/hostname=2:DoNotSchedule"))),
    priority_class=st.sampled_from(("", "toque-batch")),
    runtime_class=st.sampled_from(("", "nvidia")),
    service_account=st.sampled_from(("", "models")),
    weights=st.sampled_from(("image", "scratch", "claim:store")),
)


@given(PODS)
@settings(max_examples=25)
def test_a_replica_is_restricted_and_valid_whatever_its_settings_are(pod: PodSpec) -> None:
    model = ModelSpec(PoolSpec("chat"), AgentSpec("fake"), IsolationSpec(cpu_max=2.0), pod)
    made: Any = deployment(version_of(model, "slots = 1", "toque"), 1)
    spec = made["spec"]["template"]["spec"]
    assert violations(spec) == []
    assert spec["automountServiceAccountToken"] is False
    assert all(each["securityContext"]["readOnlyRootFilesystem"] for each in spec["containers"])
    kubernetes_validate.validate(made, KUBERNETES, strict=True)


def test_a_budget_is_valid() -> None:
    model = ModelSpec(PoolSpec("chat"), AgentSpec("fake"), pod=PodSpec("chat:1", disruptions_max=1))
    kubernetes_validate.validate(disruption_budget(model, "toque"), KUBERNETES, strict=True)


def test_the_checks_find_what_is_not_restricted() -> None:
    loose = {"containers": [{"name": "a"}], "hostNetwork": True, "volumes": [{"name": "b", "hostPath": {"path": "/"}}]}
    assert len(violations(loose)) == 6
    made: Any = deployment(version_of(ModelSpec(PoolSpec("chat"), AgentSpec("fake"), pod=PodSpec("a")), "", "toque"), 1)
    spec = made["spec"]["template"]["spec"]
    for own in (
        {"privileged": True},
        {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}},
        {"runAsUser": 0},
        {"procMount": "Unmasked"},
        {"seLinuxOptions": {"user": "root"}},
        {"seccompProfile": {"type": "Unconfined"}},
    ):
        (container,) = spec["containers"]
        worse = replace_security(container, own)
        assert len(violations({**spec, "containers": [worse]})) == 1, own


def replace_security(container: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    return {**container, "securityContext": {**container["securityContext"], **own}}
