"""What an API server does to those who rely on it: away for a minute, too busy, forgetful. Replicas that are known serve on."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightkube
import pytest
from lightkube.resources.core_v1 import ConfigMap

from tests.cluster.place import ACCOUNT, Cluster, Place, namespace, running
from tests.cluster.rig.api import path_of, trusting
from tests.cluster.served import asked_by, pods, served, settings
from tests.cluster.served import running as ready
from tests.service import Service, until
from toque.kube import watch as watching
from toque.kube.watch import Watch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200), pytest.mark.xdist_group("trouble")]

AWAY_S = 60.0
FORGETFUL = {"watch-cache": "false", "etcd-compaction-interval": "1s"}
NARROW = {"enable-priority-and-fairness": "false", "max-mutating-requests-inflight": "1"}
PATIENT = {"default-not-ready-toleration-seconds": "300", "default-unreachable-toleration-seconds": "300"}


@pytest.fixture(scope="module")
def troubled(kubernetes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose API server remembers a second or two, takes one change at a time, and may be stopped."""
    with running(tmp_path_factory.mktemp("troubled"), api_server=FORGETFUL | NARROW | PATIENT) as made:
        yield made


@pytest.fixture
def place(troubled: Cluster) -> Iterator[Place]:
    with namespace(troubled) as made:
        try:
            yield made
        finally:
            if not troubled.plane.has_api_server:  # the story ended early
                troubled.plane.start_api_server()


def test_an_api_server_that_is_away_for_a_minute_costs_no_answer_and_freezes_the_scaling(
    tmp_path: Path, place: Place
) -> None:
    bounds = "minimum_warm = 1, maximum = 4, scale_down_delay_s = 1.0, step_down_max = 4"
    plane = place.cluster.plane
    with served(tmp_path, settings(place, bounds, slots=2, options="ttft_s = 0.2, tokens = 5")) as service:
        with asked_by(service, 2):
            until(lambda: len(ready(service)) == 2)
        before = {row["replica"]["id"] for row in ready(service)}
        with asked_by(service, 2) as load:
            plane.stop_api_server()
            until(lambda: "API server" in service.pool()["reason"], AWAY_S)
        pass_by(20.0, service)
        assert load.is_flawless, load.bodies
        assert {row["replica"]["id"] for row in ready(service)} == before, "nothing is ended"
        with asked_by(service, 8) as load:
            pass_by(AWAY_S - 20.0, service)
            assert {row["replica"]["id"] for row in service.replicas()} == before, "nothing is started"
            assert "API server" in service.why("chat")["decisions"][-1]["shortage"]
            plane.start_api_server()
            plane.restart_controllers()
            until(lambda: len(ready(service)) == 4)
            load.served(20)
        assert load.is_flawless, load.bodies
        assert service.pool()["reason"] == ""
        assert before < {row["replica"]["id"] for row in ready(service)}
        until(lambda: len(ready(service)) == 1)
        until(lambda: len(pods(place)) == 1)


def pass_by(seconds: float, service: Service) -> None:
    """Have that much time go by while a service runs: an outage has a length."""
    began = service.get("/admin/v1/pools")["now"]
    until(lambda: service.get("/admin/v1/pools")["now"] >= began + seconds, seconds + 10.0)


def test_an_api_server_that_asks_for_fewer_calls_is_asked_again_and_people_are_told(
    tmp_path: Path, place: Place
) -> None:
    with busy(place) as call, served(tmp_path, settings(place), is_ready=False) as service:
        until(lambda: "asks for fewer calls (429)" in str(service.replicas()))
        assert pods(place) == []
        call.close()
        service.ready()
        assert service.pool()["reason"] == ""


@contextmanager
def busy(place: Place) -> Iterator[ssl.SSLSocket]:
    """Take the only room that the API server has for changes: a call whose body never ends, until it is closed."""
    plane = place.cluster.plane
    token = plane.account_token(place.namespace, ACCOUNT)
    plain = socket.create_connection(("127.0.0.1", plane.port))
    with trusting(plane.authority).wrap_socket(plain, server_hostname="127.0.0.1") as call:
        head = f"POST {path_of('secrets', place.namespace)} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {token}\r\n"
        call.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
        yield call


async def test_a_watch_that_is_resumed_too_late_lists_anew_and_misses_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own kind is quiet while the rest of the cluster moves on: what it knows is forgotten by the server (410)."""
    monkeypatch.setattr(watching, "SERVER_TIMEOUT_S", 4)
    plane = place.cluster.plane
    config = lightkube.KubeConfig.from_file(plane.kubeconfig(place.namespace, name="watcher"))
    turns: list[str] = []
    async with lightkube.AsyncClient(config.get()) as client:
        watch = Watch(client, ConfigMap, {"kept": "yes"}, lambda _: None, turns.append)
        watch.open()
        try:
            async with asyncio.timeout(60):
                while not any("410" in turn for turn in turns):
                    await asyncio.sleep(0)
                    await asyncio.to_thread(lambda: None)
            made = {"metadata": {"name": "late", "labels": {"kept": "yes"}}}
            await asyncio.to_thread(place.api.create, "configmaps", made)
            async with asyncio.timeout(30):
                while "late" not in watch.objects or not watch.is_fresh:
                    await asyncio.sleep(0)
        finally:
            await watch.close()
    assert turns[-1] == ""
