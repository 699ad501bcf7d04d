"""Whose the Pods are: a toque that is killed and its successor, one that leaves its Pods on purpose, and somebody who scales by hand."""

import signal
from pathlib import Path

import pytest

from tests.cluster.place import Place
from tests.cluster.served import asked_by, names, pods, running, served, settings
from tests.service import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

TWO = "minimum_warm = 1, maximum = 4, target = 2"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_successor_takes_the_pods_over_as_they_are(tmp_path: Path, place: Place, number: signal.Signals) -> None:
    """Killed, or ended with `keep`: the Pods run on, and the next toque neither starts nor ends one."""
    text = settings(place, TWO, keep=number is signal.SIGTERM)
    with served(tmp_path, text, is_ready=False) as service:
        service.ready(2)
        before = {pod["metadata"]["uid"] for pod in pods(place)}
        service.stop(number)
    assert {pod["metadata"]["uid"] for pod in pods(place)} == before
    with served(tmp_path, settings(place, TWO)) as service:
        service.ready(2)
        assert {row["status"]["name"] for row in running(service)} == names(pods(place))
        assert {pod["metadata"]["uid"] for pod in pods(place)} == before
        with asked_by(service, 4) as load:
            load.served()
        assert load.is_flawless, load.bodies


def test_a_successor_with_other_settings_replaces_what_it_finds(tmp_path: Path, place: Place) -> None:
    with served(tmp_path, settings(place), is_ready=False) as service:
        service.ready(1)
        before = names(pods(place))
        service.stop(signal.SIGKILL)
    with served(tmp_path, settings(place, image="registry.test/toque:2")) as service:
        assert service.ask()[0] == 200
        until(lambda: not before & names(place.api.list("pods")))
        until(lambda: sum(each["spec"]["replicas"] for each in place.api.list("deployments")) == 1)


def test_a_number_set_by_hand_is_set_back(tmp_path: Path, place: Place) -> None:
    with served(tmp_path, settings(place, TWO), is_ready=False) as service:
        service.ready(2)
        (deployment,) = place.api.list("deployments")
        name = deployment["metadata"]["name"]
        with asked_by(service, 4) as load:
            for replicas in (5, 0):
                place.api.patch("deployments", name, {"spec": {"replicas": replicas}})
                until(lambda: place.api.get("deployments", name)["spec"]["replicas"] == 2)
                until(lambda: len(pods(place, is_ready=True)) == 2 and len(running(service)) == 2)
            load.served()
        assert load.is_flawless, load.bodies


def test_a_deployment_that_somebody_deletes_is_made_again(tmp_path: Path, place: Place) -> None:
    with served(tmp_path, settings(place)) as service:
        (pod,) = pods(place)
        place.api.delete("deployments", place.api.list("deployments")[0]["metadata"]["name"])
        until(lambda: [new for new in names(pods(place, is_ready=True)) if new != pod["metadata"]["name"]])
        service.ready(1)
        assert service.ask()[0] == 200
