"""Replicas as Pods: they come with load and go with it, to zero and back, and whoever has to go is the one that goes."""

from pathlib import Path

import pytest

from tests.cluster.place import Place
from tests.cluster.served import asked_by, change, names, pods, running, served, settings
from tests.service import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_a_first_start_is_a_deployment_and_a_pod_that_answers(tmp_path: Path, place: Place) -> None:
    with served(tmp_path, settings(place)) as service:
        assert service.ask()[0] == 200
        (pod,) = pods(place, is_ready=True)
        (row,) = service.replicas()
        assert row["status"]["name"] == pod["metadata"]["name"]
        steps = dict(row["status"]["phases"])
        assert set(steps) >= {"scheduled", "started", "loaded", "ready"}
        assert sorted(steps.values()) == [steps[name] for name in sorted(steps, key=lambda name: steps[name])]
        (deployment,) = place.api.list("deployments")
        assert deployment["spec"]["replicas"] == 1
    assert place.api.list("deployments") == []
    assert place.api.list("pods") == []


def test_load_brings_replicas_and_calm_takes_them_to_zero_and_the_next_request_brings_one_back(
    tmp_path: Path, place: Place
) -> None:
    bounds = "minimum_warm = 0, maximum = 4, scale_down_delay_s = 1.0, idle_to_zero_s = 2.0, step_down_max = 4"
    text = settings(place, bounds, slots=2, options="ttft_s = 0.2, tokens = 5")
    with served(tmp_path, text, is_ready=False) as service:
        assert pods(place) == []
        assert service.ask()[0] == 200
        with asked_by(service, 8) as load:
            until(lambda: len(running(service)) == 4)
            load.served(20)
        assert load.is_flawless, load.bodies
        until(lambda: not service.replicas())
        until(lambda: not place.api.list("pods"))
        assert place.api.list("deployments")[0]["spec"]["replicas"] == 0
        status, headers, _ = service.ask()
        assert status == 200
        assert int(headers["x-toque-cold-start-ms"]) > 0


def test_the_replica_that_has_to_go_is_the_pod_that_goes(tmp_path: Path, place: Place) -> None:
    bounds = "minimum_warm = 0, maximum = 3, target = {}, scale_down_delay_s = 0.5, step_down_max = 3"
    with served(tmp_path, settings(place, bounds.format(3)), is_ready=False) as service:
        service.ready(3)
        until(lambda: len(pods(place, is_ready=True)) == 3)
        before = {row["replica"]["id"]: row["status"]["name"] for row in service.replicas()}
        change(tmp_path, service, settings(place, bounds.format(1)))
        service.ready(1)
        until(lambda: len(service.replicas()) == 1)
        (left,) = service.replicas()
        until(lambda: len(place.api.list("pods")) == 1)
        assert names(pods(place)) == {before[left["replica"]["id"]]}
