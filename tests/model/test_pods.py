"""Words of Pods: taints that are put up with, and which models run in Pods at all."""

from dataclasses import replace

import pytest

from toque.model.agent_spec import AgentSpec, ModelSpec
from toque.model.placement import (
    Requirement,
    Spread,
    Toleration,
    read_requirement,
    read_spread,
    read_toleration,
)
from toque.model.pod_spec import PodSpec
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


@pytest.mark.parametrize(
    ("text", "requirement"),
    [
        ("gpu", Requirement("gpu", "Exists")),
        (" !spot ", Requirement("spot", "DoesNotExist")),
        ("example.com/gpu=h200", Requirement("example.com/gpu", "In", ("h200",))),
        ("zone == a", Requirement("zone", "In", ("a",))),
        ("zone!=a", Requirement("zone", "NotIn", ("a",))),
        ("zone in (a, b-1)", Requirement("zone", "In", ("a", "b-1"))),
        ("zone notin (a)", Requirement("zone", "NotIn", ("a",))),
        ("cores>16", Requirement("cores", "Gt", ("16",))),
        ("cores < 64", Requirement("cores", "Lt", ("64",))),
    ],
)
def test_what_a_machine_must_be_is_read_as_kubectl_selects(text: str, requirement: Requirement) -> None:
    assert read_requirement(text) == requirement


@pytest.mark.parametrize("text", ["", "=a", "zone in ()", "zone in a", "a=b=c", "cores>many", "two words"])
def test_what_says_nothing_of_a_label_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"says nothing|whole number"):
        read_requirement(text)


@pytest.mark.parametrize(
    ("text", "spread"),
    [
        ("zone", Spread("zone", 1, "ScheduleAnyway")),
        ("kubernetes.io/hostname=2", Spread("kubernetes.io/hostname", 2, "ScheduleAnyway")),
        ("zone=3:DoNotSchedule", Spread("zone", 3, "DoNotSchedule")),
        ("zone:DoNotSchedule", Spread("zone", 1, "DoNotSchedule")),
    ],
)
def test_replicas_spread_over_a_label_by_a_skew_and_a_rule(text: str, spread: Spread) -> None:
    assert read_spread(text) == spread


@pytest.mark.parametrize("text", ["", "zone=0", "zone=x", "zone:Perhaps", "a b"])
def test_what_is_no_spread_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no "):
        read_spread(text)
