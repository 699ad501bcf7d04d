"""What changes under load: another image, a machine that is drained, Pods that die. No non-streaming request fails."""

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
        with asked_by(service, 3) as load:
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
        with asked_by(service, 3) as load:
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


def test_pods_that_die_take_no_answer_with_them_and_are_replaced(tmp_path: Path, place: Place) -> None:
    """Deleted, deleted by force, killed: one after the other."""
    with served(tmp_path, settings(place, THREE), is_ready=False) as service:
        service.ready(3)
        with asked_by(service, 3) as load:
            for kill in (_delete, _delete_by_force, _kill):
                before = {row["replica"]["id"] for row in service.replicas()}
                victim = min(names(pods(place)))
                kill(place, victim)
                until(lambda known=before: len({row["replica"]["id"] for row in running(service)} - known) == 1)
                until(lambda gone=victim: len(pods(place)) == 3 and gone not in names(pods(place)))
            load.served()
        assert load.is_flawless, load.bodies
        assert len(service.replicas()) == 3


def _delete(place: Place, pod: str) -> None:
    place.api.delete("pods", pod)


def _delete_by_force(place: Place, pod: str) -> None:
    place.api.delete("pods", pod, gracePeriodSeconds=0)


def _kill(place: Place, pod: str) -> None:
    place.machines.kill(place.namespace, pod)


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
    """Its power is gone: connections to it hang or are refused, and the cluster finds out late. Two of three replicas may be there."""
    twice = settings(place, THREE) + "[models.chat.retry]\nattempts_max = 2\n"
    with served(tmp_path, twice, is_ready=False) as service:
        service.ready(3)
        machine = pods(place)[0]["spec"]["nodeName"]
        try:
            with asked_by(service, 3) as load:
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
