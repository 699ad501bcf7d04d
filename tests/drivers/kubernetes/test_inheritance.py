"""Pods of other versions that a predecessor left: who takes them over, and until when."""

from dataclasses import replace

from lightkube.resources.apps_v1 import Deployment

from toque.drivers.kubernetes.inheritance import Inheritance
from toque.kube.manifests import deployment, version_of
from toque.model.agent_spec import AgentSpec, ModelSpec
from toque.model.pod_spec import PodSpec
from toque.model.spec import PoolSpec

MODEL = ModelSpec(PoolSpec("chat", hosted=True), AgentSpec("fake"), pod=PodSpec("chat:2"))
NOW = version_of(MODEL, "", "toque")
OLD = version_of(replace(MODEL, pod=PodSpec("chat:1", port=9000)), "", "toque")
THERE = {OLD.name: Deployment.from_dict(deployment(OLD, 2))}


def inheritance(**spare: int) -> tuple[Inheritance, dict[str, int]]:
    """With so many Pods of a version, by its mark, that nobody has."""
    made = Inheritance(lambda mark: spare.get(mark, 0) > 0)
    for mark in spare:
        made.leave("chat", mark)
    return made, spare


def test_an_order_takes_a_pod_of_its_own_version_first() -> None:
    made, spare = inheritance(**{NOW.mark: 1, OLD.mark: 1})
    assert made.former(NOW, THERE) is None
    spare[NOW.mark] = 0
    former = made.former(NOW, THERE)
    assert former is not None
    assert former.name == OLD.name
    spare[OLD.mark] = 0
    assert made.former(NOW, THERE) is None


def test_what_is_left_is_reached_at_its_own_port() -> None:
    made, _ = inheritance(**{OLD.mark: 1})
    former = made.former(NOW, THERE)
    assert former is not None
    assert former.model.pod.port == 9000
    unknown = made.former(NOW, {})
    assert unknown is not None
    assert unknown.model.pod.port == NOW.model.pod.port


def test_after_a_renewal_every_order_is_for_its_own_version() -> None:
    made, _ = inheritance(**{OLD.mark: 1})
    made.spent("chat")
    assert made.former(NOW, THERE) is None
    made.spent("chat")


def test_what_another_model_left_is_not_taken() -> None:
    made, _ = inheritance(**{OLD.mark: 1})
    other = version_of(replace(MODEL, pool=PoolSpec("other", hosted=True)), "", "toque")
    assert made.former(other, THERE) is None
