"""Who runs where, and who goes first: a real scheduler and real eviction, by what the settings of a model's Pods say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings

from tests.cluster.place import TOQUE, Place
from tests.cluster.rig import RefusedError
from tests.cluster.rig.api import path_of
from tests.cluster.rig.node import Room
from tests.cluster.served import pods, served
from tests.deploy.releases import IMAGE, by_name, release, rendered
from tests.kube.test_restricted import PODS
from tests.service import Service, until
from toque.kube.manifests import deployment, version_of
from toque.kube.words import pool_labels
from toque.model.agent_spec import AgentSpec, ModelSpec
from toque.model.pod_spec import PodSpec
from toque.model.spec import PoolSpec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SETTINGS = """
driver = "kubernetes"
kubernetes.kubeconfig = "{kubeconfig}"
"""
MODEL = """
[models.{name}]
agent = "fake"
options = {{ ttft_s = 0.02, tokens = 5 }}
replicas = {{ minimum_warm = {count}, maximum = {count} }}
restart = {{ backoff_s_min = 0.2, backoff_s_max = 1.0 }}
[models.{name}.pod]
image = "{image}"
termination_grace_s = 2
{pod}
"""


@pytest.fixture
def classes(place: Place) -> Iterator[None]:
    """The PriorityClasses that a deployment brings."""
    made = {
        name: each
        for (kind, name), each in by_name(rendered(release({"image": IMAGE}))).items()
        if kind == "PriorityClass"
    }
    for name, each in made.items():
        assert place.api.find("priorityclasses", name) is None
        place.api.create("priorityclasses", each)
    yield
    for name in made:
        place.api.delete("priorityclasses", name)


def model(name: str, pod: str, count: int = 1) -> str:
    return MODEL.format(name=name, image=TOQUE, pod=pod, count=count)


def ready(service: Service, name: str) -> int:
    return [each["state"] for each in service.pool(name)["replicas"]].count("ready")


def of(place: Place, name: str, **how: bool) -> list[dict[str, Any]]:
    found = pods(place, **how)
    return [pod for pod in found if pod["metadata"]["labels"].get("toque.dev/pool") == name]


@given(PODS)
@hypothesis_settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_api_server_takes_every_pod_that_settings_can_make(place: Place, pod: PodSpec) -> None:
    made = ModelSpec(PoolSpec("chat"), AgentSpec("fake"), pod=pod)
    place.api.call(
        "POST", path_of("deployments", place.namespace), deployment(version_of(made, "", "toque"), 1), dryRun="All"
    )


def test_replicas_go_to_machines_that_are_what_they_require_and_spread_over_them(tmp_path: Path, place: Place) -> None:
    taint = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    machines = {"gpu-a": "a", "gpu-b": "b"}
    for name, zone in machines.items():
        place.machines.add(name, Room(), {"gpu": "h200", "zone": zone}, [taint])
    try:
        pod = """
node_required = ["gpu in (h100, h200)", "!spot"]
tolerations = ["gpu=yes:NoSchedule"]
spread = ["zone:DoNotSchedule"]
disruptions_max = 1
"""
        text = SETTINGS.format(kubeconfig=place.kubeconfig) + model("chat", pod, 4) + model("plain", "")
        with served(tmp_path, text, is_ready=False) as service:
            until(lambda: ready(service, "chat") == 4 and ready(service, "plain") == 1)
            places = sorted(each["spec"]["nodeName"] for each in of(place, "chat"))
            assert places == ["gpu-a", "gpu-a", "gpu-b", "gpu-b"]
            assert of(place, "plain")[0]["spec"]["nodeName"] not in machines
            budget = place.api.get("poddisruptionbudgets", "toque-chat")
            assert budget["spec"]["selector"]["matchLabels"] == pool_labels("toque", "chat")
            until(lambda: place.api.get("poddisruptionbudgets", "toque-chat")["status"].get("disruptionsAllowed") == 1)
            assert_one_at_a_time(place)
        assert place.api.find("poddisruptionbudgets", "toque-chat") is None
    finally:
        for name in machines:
            place.machines.remove(name)


def assert_one_at_a_time(place: Place) -> None:
    """Who empties machines may take one replica, and the next when another one is there."""
    first, second, *_ = of(place, "chat", is_ready=True)
    evict(place, first)
    with pytest.raises(RefusedError, match="429"):
        evict(place, second)


def evict(place: Place, pod: dict[str, Any]) -> None:
    name = pod["metadata"]["name"]
    body = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": name}}
    place.api.call("POST", path_of("pods", place.namespace, name, "eviction"), body)


@pytest.mark.usefixtures("classes")
def test_interactive_replicas_take_the_room_of_batch_ones_when_there_is_no_other(tmp_path: Path, place: Place) -> None:
    place.machines.add("small", Room(cpu="2"), {"pool": "small"})
    pod = """
node_required = ["pool=small"]
requests = {{ cpu = 1 }}
priority_class = "toque-{kind}"
"""
    try:
        work = SETTINGS.format(kubeconfig=place.kubeconfig) + model("work", pod.format(kind="batch"), 2)
        with served(tmp_path, work, is_ready=False) as service:
            until(lambda: ready(service, "work") == 2)
            path = tmp_path / "toque.toml"
            path.write_text(path.read_text() + model("chat", pod.format(kind="interactive")))
            service.process.send_signal(1)
            until(lambda: any(pool["name"] == "chat" for pool in service.get("/admin/v1/pools")["pools"]))
            until(lambda: ready(service, "chat") == 1 and ready(service, "work") == 1)
            assert len(of(place, "work", is_ready=True)) == 1
            assert service.ask(model="chat")[0] == 200
            waits = until(
                lambda: [row["what"] for row in service.why("work")["replicas"] if "room" in str(row["what"])]
            )
            assert "Insufficient cpu" in waits[0]
    finally:
        place.machines.remove("small")
