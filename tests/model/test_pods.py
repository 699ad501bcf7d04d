"""Words of Pods: taints that are put up with, and which models run in Pods at all."""

from dataclasses import replace

import pytest

from toque.model.agent_spec import AgentSpec, ModelSpec
from toque.model.pod_spec import PodSpec, Toleration, read_toleration
from toque.model.spec import PoolSpec


@pytest.mark.parametrize(
    ("text", "taint"),
    [
        ("gpu", Toleration("gpu", "", "")),
        ("gpu=yes", Toleration("gpu", "yes", "")),
        ("example.com/gpu=yes:NoExecute", Toleration("example.com/gpu", "yes", "NoExecute")),
        ("gpu:NoSchedule", Toleration("gpu", "", "NoSchedule")),
    ],
)
def test_taints_are_read_as_kubectl_writes_them(text: str, taint: Toleration) -> None:
    assert read_toleration(text) == taint


@pytest.mark.parametrize("text", ["", "=yes", ":NoSchedule", "two words", "gpu:Never"])
def test_what_is_no_taint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no "):
        read_toleration(text)


def test_a_model_runs_in_pods_only_where_it_has_an_image_and_is_not_on_this_machine() -> None:
    model = ModelSpec(PoolSpec("chat", hosted=True), AgentSpec(), pod=PodSpec("chat:1"))
    assert model.runs_in_pod
    assert not replace(model, pod=PodSpec()).runs_in_pod
    assert not replace(model, pool=PoolSpec("chat")).runs_in_pod
    assert not replace(model, pool=PoolSpec("chat", hosted=True, elastic=False)).runs_in_pod
