"""The rig itself: what stories rely on when they say that a cluster did something."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.place import Place
from tests.cluster.rig import Api, ControlPlane, Image, until

pytestmark = pytest.mark.slow
SERVER = Image((sys.executable, "-m", "http.server", "--bind", "0.0.0.0", "8080"))


def deployment(replicas: int, image: str = "server", **container: Any) -> dict[str, Any]:
    made = {
        "name": "main",
        "image": image,
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1},
        **container,
    }
    labels = {"app": "server"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [made], "terminationGracePeriodSeconds": 1}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": "server"}, "spec": spec}


def ready(api: Api) -> list[dict[str, Any]]:
    def is_ready(pod: dict[str, Any]) -> bool:
        conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
        return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]

    return [pod for pod in api.list("pods") if is_ready(pod)]


def waits_for(api: Api, reason: str) -> bool:
    return any(
        status["state"].get("waiting", {}).get("reason") == reason
        for pod in api.list("pods")
        for status in pod["status"].get("containerStatuses", [])
    )


def test_pods_of_a_deployment_are_processes_at_addresses_of_their_own(place: Place) -> None:
    place.machines.images["server"] = SERVER
    place.api.create("deployments", deployment(3))
    place.api.until(lambda api: len(ready(api)) == 3)
    assert len({pod["status"]["podIP"] for pod in ready(place.api)}) == 3
    pids = [place.machines.pid(place.namespace, pod["metadata"]["name"]) for pod in ready(place.api)]
    assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    place.api.patch("deployments", "server", {"spec": {"replicas": 0}})
    place.api.until(lambda api: not api.list("pods"))
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_killed_container_is_started_again_and_one_that_dies_at_once_is_said_to_loop(place: Place) -> None:
    place.machines.images["server"] = SERVER
    place.api.create("deployments", deployment(1))
    (pod,) = place.api.until(ready)
    place.machines.kill(place.namespace, pod["metadata"]["name"], reason="OOMKilled")
    place.api.until(
        lambda api: [each for each in ready(api) if each["status"]["containerStatuses"][0]["restartCount"] == 1]
    )
    (status,) = place.api.list("pods")[0]["status"]["containerStatuses"]
    assert status["lastState"]["terminated"]["reason"] == "OOMKilled"
    place.api.patch(
        "deployments", "server", deployment(1, command=["false"]), how="application/strategic-merge-patch+json"
    )
    place.api.until(lambda api: waits_for(api, "CrashLoopBackOff"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_pod_sees_its_volumes_and_the_api_server_as_its_account(place: Place) -> None:
    place.machines.images["server"] = SERVER
    place.api.create("configmaps", {"metadata": {"name": "words"}, "data": {"word": "barrel"}})
    script = 'read word < /etc/of-a-test/word; echo "$word"; cat /var/run/secrets/kubernetes.io/serviceaccount/namespace; sleep 60'
    made = deployment(1, command=["sh", "-c", script], readinessProbe=None)
    pod = made["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "words", "configMap": {"name": "words"}}]
    pod["containers"][0]["volumeMounts"] = [{"name": "words", "mountPath": "/etc/of-a-test"}]
    place.api.create("deployments", made)
    (running,) = place.api.until(ready)
    name = running["metadata"]["name"]
    until(lambda: place.machines.output(place.namespace, name) == f"barrel\n{place.namespace}")
    assert not Path("/etc/of-a-test/word").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_pod_finds_the_pods_of_a_service_by_its_name(place: Place) -> None:
    place.machines.images |= {"server": SERVER, "asker": Image((sys.executable, "-u", "-c", ASKS))}
    place.api.create(
        "services", {"metadata": {"name": "those"}, "spec": {"clusterIP": "None", "selector": {"app": "server"}}}
    )
    place.api.create("deployments", deployment(2))
    place.api.until(lambda api: len(ready(api)) == 2)
    volume = {"volumes": [{"name": "own", "emptyDir": {}}]}
    container = {"name": "main", "image": "asker", "volumeMounts": [{"name": "own", "mountPath": "/own-scratch"}]}
    place.api.create("pods", {"metadata": {"name": "asker"}, "spec": {"containers": [container], **volume}})
    addresses = sorted(pod["status"]["podIP"] for pod in ready(place.api))
    until(lambda: f"{addresses}" in told(place))


ASKS = """
import socket, sys, threading
found = sorted({found[4][0] for found in socket.getaddrinfo('those', 8080, socket.AF_INET)})
if len(found) < 2:
    sys.exit(f'only {found}')  # its machine starts it again
print(found)
threading.Event().wait()
"""


def told(place: Place) -> str:
    try:
        return place.machines.output(place.namespace, "asker")
    except StopIteration:  # not on its machine yet
        return ""


def test_an_image_that_is_missing_is_said_to_be(place: Place) -> None:
    place.api.create("deployments", deployment(1, image="nowhere"))
    place.api.until(lambda api: waits_for(api, "ImagePullBackOff"))


def test_a_start_that_fails_leaves_nothing_behind(kubernetes: None, tmp_path: Path) -> None:
    plane = ControlPlane(tmp_path, api_server={"authorization-mode": "Nonsense"})
    with pytest.raises(AssertionError, match="kube-apiserver ended"):
        plane.start()
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in _read(path)]
    assert left == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
