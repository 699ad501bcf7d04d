"""What changes under load: another image, a machine that is drained, Pods that die. No non-streaming request fails."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.cluster.place import Place
from tests.cluster.served import asked_by, change, names, pods, running, served, settings
from tests.service import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

THREE = "minimum_warm = 3, maximum = 3"


def images(place: Place) -> set[str]:
    return {pod["spec"]["containers"][0]["image"] for pod in place.api.list("pods")}


def test_another_image_is_rolled_out_under_load_without_an_error(tmp_path: Path, place: Place) -> None:
    with served(tmp_path, settings(place, THREE), is_ready=False) as service:
        service.ready(3)
        with asked_by(service, 6) as load:
            load.served()
            change(tmp_path, service, settings(place, THREE, image="registry.test/toque:2"))
            until(lambda: images(place) == {"registry.test/toque:2"} and len(running(service)) == 3)
            load.served()
        assert load.is_flawless, load.bodies
        assert load.outcomes[200] > 100


def test_a_drained_machine_is_left_without_an_error(tmp_path: Path, place: Place) -> None:
    """kubectl drain evicts what is there."""
    with served(tmp_path, settings(place, THREE), is_ready=False) as service:
        service.ready(3)
        machine = pods(place)[0]["spec"]["nodeName"]
        plane = place.cluster.plane
        kubectl = ["kubectl", "--kubeconfig", str(plane.admin_kubeconfig)]
        with asked_by(service, 6) as load:
            load.served()
            drain = ["drain", machine, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s"]
            try:
                subprocess.run([*kubectl, *drain], check=True, capture_output=True)
                until(lambda: len(running(service)) == 3)
                assert machine not in {pod["spec"]["nodeName"] for pod in pods(place)}
                load.served()
            finally:
                subprocess.run([*kubectl, "uncordon", machine], check=True, capture_output=True)
        assert load.is_flawless, load.bodies


@pytest.mark.parametrize("how", ["deleted", "deleted by force", "killed"])
def test_a_pod_that_dies_takes_no_answer_with_it_and_is_replaced(tmp_path: Path, place: Place, how: str) -> None:
    with served(tmp_path, settings(place, THREE), is_ready=False) as service:
        service.ready(3)
        before = {row["replica"]["id"] for row in service.replicas()}
        victim = min(names(pods(place)))
        with asked_by(service, 6) as load:
            load.served()
            if how == "killed":
                place.machines.kill(place.namespace, victim)
            else:
                force = {"gracePeriodSeconds": 0} if how.endswith("force") else {}
                place.api.delete("pods", victim, **force)
            until(lambda: len({row["replica"]["id"] for row in running(service)} - before) == 1)
            load.served()
        assert load.is_flawless, load.bodies
        assert len(service.replicas()) == 3
        until(lambda: len(pods(place)) == 3 and victim not in names(pods(place)))


def test_a_stream_that_has_begun_outlives_the_eviction_of_its_pod(tmp_path: Path, place: Place) -> None:
    with served(tmp_path, settings(place, options="token_gap_s = 0.05, tokens = 60")) as service:
        stream = service.stream()
        events = stream.events()
        next(events)
        (victim,) = names(pods(place))
        place.api.delete("pods", victim)
        *_, last = events
        assert last == "[DONE]"
        until(lambda: victim not in names(pods(place)) and len(running(service)) == 1)


def test_a_machine_that_is_silent_loses_its_pods_and_no_answer(tmp_path: Path, place: Place) -> None:
    """Its power is gone: connections to it hang or are refused, and the cluster finds out late."""
    with served(tmp_path, settings(place, THREE), is_ready=False) as service:
        service.ready(3)
        machine = pods(place)[0]["spec"]["nodeName"]
        try:
            with asked_by(service, 6) as load:
                load.served()
                place.machines.crash(machine)
                until(
                    lambda: (
                        len(running(service)) == 3 and all(pod["spec"]["nodeName"] != machine for pod in pods(place))
                    ),
                    60.0,
                )
                load.served()
            assert load.is_flawless, load.bodies
        finally:
            place.machines.revive(machine)


def test_the_version_that_nobody_orders_from_is_swept(tmp_path: Path, place: Place) -> None:
    with served(tmp_path, settings(place)) as service:
        change(tmp_path, service, settings(place, image="registry.test/toque:2"))
        until(lambda: images(place) == {"registry.test/toque:2"} and len(running(service)) == 1)
        numbers = {
            each["spec"]["template"]["spec"]["containers"][0]["image"]: each["spec"]["replicas"]
            for each in place.api.list("deployments")
        }
        assert numbers.get("registry.test/toque:1", 0) == 0, json.dumps(numbers)
