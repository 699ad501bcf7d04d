"""toque installed in a real cluster: by kubectl and by helm, twice, anew, back, and away again."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.deployed import Deployed, component, deployed
from tests.cluster.place import TOQUE, Place
from tests.cluster.served import asked_by, condition, names, pods
from tests.service import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount what Pods of toque's own have"),
]
NEWER = TOQUE.replace(":1", ":2")
OWN_PORT = {"gateway__servicePort": 8080}
"""Services have no address of their own here: whoever asks by their name asks a Pod, at its port."""


@pytest.fixture
def target(place: Place, tmp_path: Path) -> Iterator[Deployed]:
    made = deployed(place, tmp_path)
    yield made
    for name in ("toque-interactive", "toque-batch"):
        made.kubectl.tried("delete", "priorityclass", name)


def others(lines: list[str], word: str) -> list[str]:
    return [line for line in lines if not line.endswith(f" {word}")]


def test_manifests_are_taken_and_a_second_apply_changes_nothing(target: Deployed) -> None:
    target.write("fleet", image="registry.test/missing:1")
    target.apply("--only", "definition")
    target.place.api.until(lambda api: api.find("customresourcedefinitions", "modelpools.toque.dev"))
    target.kubectl.run("wait", "--for=condition=established", "crd/modelpools.toque.dev", "--timeout=30s")
    assert others(target.apply("--only", "objects"), "created") == []
    assert target.place.api.get("modelpools", "chat")["spec"]["slots"] == 4
    until(lambda: len(target.gateways(is_ready=False)) == 2)  # no rule of the cluster kept its Pods out

    before = target.marks()
    assert others(target.apply("--only", "objects"), "unchanged") == []
    assert target.marks() == before
    target.kubectl.run("delete", "-f", "-", typed=target.printed("render", "--kubernetes", "1.20", "--only", "objects"))
    target.place.api.until(lambda api: not api.list("pods"))


def test_a_single_pod_serves_with_the_rights_it_is_given_and_leaves_its_replicas_to_the_next(target: Deployed) -> None:
    target.write()
    target.apply()
    assert target.ask()[0] == 200
    (replica,) = until(target.replicas)
    budget = target.place.api.get("poddisruptionbudgets", "toque-chat")
    assert budget["spec"]["maxUnavailable"] == 1

    target.write(image=NEWER)
    model = (
        (target.folder / "toque.toml").read_text().replace(f'pod = {{ image = "{NEWER}"', f'pod = {{ image = "{TOQUE}"')
    )
    (target.folder / "toque.toml").write_text(model)
    target.apply()
    until(lambda: [pod["spec"]["containers"][0]["image"] for pod in target.gateways()] == [NEWER], 60)
    assert target.ask()[0] == 200
    assert names(target.replicas()) == {replica["metadata"]["name"]}


def test_helm_installs_upgrades_rolls_back_and_removes(target: Deployed) -> None:
    helm = target.helm()
    target.write()
    told = target.install(**OWN_PORT)
    assert "Ask it, with that key" in told
    assert target.ask()[0] == 200
    assert "Succeeded" in helm.run("test", "toque")  # a Pod that asks the gateway through its Service

    before = target.marks()
    target.install(**OWN_PORT)
    assert target.marks() == before

    target.install(image=NEWER, gateway__annotations={"example.com/note": "newer"})
    until(lambda: [pod["spec"]["containers"][0]["image"] for pod in target.gateways()] == [NEWER], 60)
    assert target.ask()[0] == 200

    helm.run("rollback", "toque", "2")
    until(lambda: [pod["spec"]["containers"][0]["image"] for pod in target.gateways()] == [TOQUE], 60)
    assert target.ask()[0] == 200
    (pod,) = target.gateways()
    assert "example.com/note" not in pod["metadata"]["annotations"]

    helm.run("uninstall", "toque")
    target.place.api.until(lambda _: not target.gateways(is_ready=False))
    assert not [name for name in target.marks() if "gateway" in name or "settings" in name]


def test_a_fleet_answers_everybody_while_its_controllers_and_gateways_are_upgraded(target: Deployed) -> None:
    target.write("fleet")
    target.apply("--only", "definition")
    target.kubectl.run("wait", "--for=condition=established", "crd/modelpools.toque.dev", "--timeout=30s")
    target.install()
    until(lambda: pool(target).get("ready") == 1, 90)
    (replica,) = names(target.replicas())
    until(lambda: len(controllers(target)) == 2, 60)
    until(lambda: len(leaders(target)) == 1)
    assert target.place.api.get("poddisruptionbudgets", "toque-chat")["spec"]["maxUnavailable"] == 1
    until(lambda: len(target.gateways()) == 2, 60)
    note = {"example.com/note": "newer"}
    with asked_by(target, 2) as load:
        load.served(20)
        target.install(
            controller__annotations=note, gateway__annotations=note, controller__keda=True, gateway__podsMax=4
        )
        assert target.place.api.get("horizontalpodautoscalers", "toque-gateway")["spec"]["maxReplicas"] == 4
        until(lambda: [noted(pod) for pod in controllers(target)] == ["newer", "newer"], 90)
        until(lambda: [noted(pod) for pod in target.gateways()] == ["newer", "newer"], 90)
        until(lambda: [noted(pod) for pod in leaders(target)] == ["newer"])
        load.served(20)
    assert load.is_flawless, load.bodies
    until(lambda: pool(target).get("ready") == 1)
    assert names(target.replicas()) == {replica}

    target.helm().run("uninstall", "toque")  # its hook lets the pools go first
    assert target.place.api.list("modelpools") == []
    target.place.api.until(lambda api: not api.list("pods"), 60)
    assert not [name for name in target.marks() if "gateway" in name or "controller" in name or "chat" in name]


def pool(target: Deployed) -> dict[str, Any]:
    return dict(target.place.api.get("modelpools", "chat").get("status", {}))


def controllers(target: Deployed) -> list[dict[str, Any]]:
    found = [pod for pod in pods(target.place) if component(pod) == "controller"]
    return found if all(condition(pod, "Ready") for pod in found) else []


def leaders(target: Deployed) -> list[dict[str, Any]]:
    """Controllers that a Service for the leader would find."""
    return [pod for pod in controllers(target) if pod["metadata"]["labels"].get("toque.dev/leads") == "true"]


def noted(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["annotations"].get("example.com/note", ""))
