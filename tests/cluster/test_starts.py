"""Starts that do not come about, and what people are told of them: no room, no quota, no image, a crash loop; and how long a good one took."""

import sys
from pathlib import Path

import pytest

from tests.cluster.place import TOQUE, Place
from tests.cluster.rig import Image, Room
from tests.cluster.served import pods, served, settings, told
from tests.service import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

GPU = 'cpu = 0.1, "nvidia.com/gpu" = 1'


def test_a_pod_without_a_machine_is_explained_and_starts_when_one_comes(tmp_path: Path, place: Place) -> None:
    with served(tmp_path, settings(place, requests=GPU, limits='"nvidia.com/gpu" = 1'), is_ready=False) as service:
        assert "nvidia.com/gpu" in told(service, "no machine has room for its Pod")
        assert "no machine has room" in service.replicas()[0]["status"]["delay"]
        assert service.pool()["reason"].startswith("no machine has room")
        place.machines.add("gpu", Room(devices={"nvidia.com/gpu": 1}))
        try:
            service.ready()
            (pod,) = pods(place)
            assert pod["spec"]["nodeName"] == "gpu"
        finally:
            place.machines.remove("gpu")


def test_a_quota_that_is_used_up_is_told_and_the_start_comes_about_when_it_grows(tmp_path: Path, place: Place) -> None:
    place.api.create("resourcequotas", {"metadata": {"name": "small"}, "spec": {"hard": {"pods": "1"}}})
    with served(tmp_path, settings(place, "minimum_warm = 2, maximum = 2"), is_ready=False) as service:
        assert "exceeded quota: small" in told(service, "exceeded quota")
        service.ready(1)
        assert service.ask()[0] == 200
        place.api.patch("resourcequotas", "small", {"spec": {"hard": {"pods": "5"}}})
        service.ready(2)


def test_an_image_that_is_missing_is_told_at_once_and_requests_are_refused(tmp_path: Path, place: Place) -> None:
    with served(tmp_path, settings(place, image="registry.test/absent:1"), is_ready=False) as service:
        assert "registry.test/absent:1 cannot be pulled" in told(service, "failed")
        until(lambda: service.pool()["condition"] == "crash_loop")
        status, _, body = service.ask()
        assert (status, body["error"]["code"]) == (503, "no_healthy_replica")
        place.machines.images["registry.test/absent:1"] = place.machines.images[TOQUE]
        service.ready()


def test_a_crash_loop_is_recognised_and_told_with_its_last_line(tmp_path: Path, place: Place) -> None:
    crash = Image((sys.executable, "-c", "raise SystemExit('the weights are torn')"))
    place.machines.images["registry.test/torn:1"] = crash
    with served(tmp_path, settings(place, image="registry.test/torn:1"), is_ready=False) as service:
        assert told(service, "the weights are torn").startswith("failed: exited with code 1")
        until(lambda: service.pool()["condition"] == "crash_loop")
        assert "the weights are torn" in service.pool()["reason"]


def test_a_refusal_of_a_replica_is_told_as_it_said_it(tmp_path: Path, place: Place) -> None:
    with served(tmp_path, settings(place, options="start_s = -1.0"), is_ready=False) as service:
        assert "must be a number, 0 or more" in told(service, "failed")


def test_a_container_that_is_killed_for_its_memory_is_told_so(tmp_path: Path, place: Place) -> None:
    with served(tmp_path, settings(place)) as service:
        (pod,) = pods(place)
        place.machines.kill(place.namespace, pod["metadata"]["name"], reason="OOMKilled")
        assert "killed at its memory limit" in told(service, "failed")
        service.ready()


def test_a_cold_start_is_told_by_its_steps(tmp_path: Path, place: Place) -> None:
    """Events of Kubernetes have whole seconds: a pull of two is told as one to three."""
    slow = Image(place.machines.images[TOQUE].entrypoint, pull_s=2.0)
    place.machines.images["registry.test/slow:1"] = slow
    text = settings(place, image="registry.test/slow:1", options="start_s = 1.0, tokens = 5")
    with served(tmp_path, text) as service:
        until(lambda: "pulled" in dict(service.replicas()[0]["status"]["phases"]))
        steps = dict(service.replicas()[0]["status"]["phases"])
        assert list(steps) == ["scheduled", "pulled", "started", "loaded", "ready"]
        assert 1.0 <= steps["pulled"] - steps["scheduled"] <= 3.0
        assert steps["started"] >= 2.0
        assert steps["loaded"] - steps["started"] >= 1.0
        cold = service.pool()["cold_start"]
        assert cold["load_s"] >= 1.0
