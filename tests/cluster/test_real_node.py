"""A replica on a real machine: the real kubelet and containerd pull the image of `toque image build` and run it as it is."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster import place as places
from tests.cluster.place import Cluster, Place
from tests.cluster.rig import ControlPlane, Machines, MissingError, find_binaries
from tests.cluster.rig.machine import NEEDED, PLUGINS, Machine
from tests.cluster.served import change, condition, pods, served
from tests.images.building import Image, registry
from tests.images.building import place as short_folder
from tests.service import Service, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SETTINGS = """
driver = "kubernetes"
[kubernetes]
kubeconfig = "{kubeconfig}"
[models.chat]
source = "embedded"
slots = 4
threads = 1
replicas = {{ minimum_warm = {warm}, maximum = 1, startup_timeout_s = 120, idle_to_zero_s = 1 }}
scaling = {{ interval_s = 1.0, stable_window_s = 2.0, burst_window_s = 1.0 }}
[models.chat.pod]
image = "{image}"
requests = {{ cpu = 0.1, memory = "200Mi" }}
limits = {{ memory = "800Mi" }}
"""
READY_S = 120.0


@pytest.fixture
def real_place(kubernetes: None, tmp_path: Path) -> Iterator[Place]:
    """A namespace of a cluster whose only machine is real."""
    try:
        find_binaries(*NEEDED)
    except MissingError as missing:
        pytest.skip(str(missing))
    if os.geteuid() != 0 or not (PLUGINS / "bridge").exists() or not is_static("busybox"):
        pytest.skip("not root, or not installed: containernetworking-plugins, busybox-static")
    plane = ControlPlane(tmp_path / "plane")
    with ExitStack() as stack:
        plane.start()
        stack.callback(plane.stop)
        machine = Machine(plane, stack.enter_context(short_folder()) / "machine")
        machine.start()
        stack.callback(machine.stop)
        yield stack.enter_context(places.namespace(Cluster(plane, Machines(plane, tmp_path / "none", {}))))


@pytest.fixture
def reference(image: Image, tmp_path: Path) -> Iterator[str]:
    """Where the embedded model's image is, in a registry."""
    if shutil.which("docker-registry") is None:
        pytest.skip("not installed: docker-registry")
    with registry(tmp_path / "registry") as host:
        storage = image.folder / "storage"
        place = ["--root", str(storage / "images"), "--runroot", str(storage / "run")]
        to = f"{host}/chat:1"
        push = ["buildah", *place, "push", "--tls-verify=false", "localhost/toque-chat", f"docker://{to}"]
        subprocess.run(push, check=True, capture_output=True)
        yield to


def settings(place: Place, reference: str, warm: int) -> str:
    return SETTINGS.format(kubeconfig=place.kubeconfig, image=reference, warm=warm)


def is_empty(place: Place) -> bool:
    return not place.api.list("pods")


def is_static(name: str) -> bool:
    return b"/ld-linux" not in Path(find_binaries(name)[name]).read_bytes()[:4096]


def is_served(service: Service) -> bool:
    return any(row["replica"]["state"] == "ready" for row in service.replicas())


def test_a_built_image_serves_on_a_real_machine_and_goes_when_it_is_idle(
    real_place: Place, reference: str, tmp_path: Path
) -> None:
    with served(tmp_path, settings(real_place, reference, 1), is_ready=False) as service:
        until(lambda: is_served(service), READY_S)
        until(lambda: pods(real_place, is_ready=True), READY_S)
        (pod,) = pods(real_place)
        assert condition(pod, "toque.dev/serving")
        (container,) = pod["status"]["containerStatuses"]
        assert container["containerID"].startswith("containerd://")
        status, _, body = service.ask(max_tokens=8)
        assert status == 200, body
        assert body["choices"][0]["message"]["content"]

        stream = service.stream(max_tokens=300)
        change(tmp_path, service, settings(real_place, reference, 0))
        assert list(stream.events())[-1] == "[DONE]"
        until(lambda: is_empty(real_place), READY_S)
        assert service.stop() == 0
