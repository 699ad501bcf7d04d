"""`toque controller` on a real control plane: ten lines become a served model, and everything that happens to them is followed."""

import base64
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.controlled import TEN_LINES, Controlled, controlled, leads, pool
from tests.cluster.place import Place
from tests.cluster.served import names, pods
from tests.service import Service, call, request, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]
OTHER = "registry.test/toque:2"


@pytest.fixture
def here(place: Place, tmp_path: Path) -> Iterator[Controlled]:
    with controlled(place, tmp_path) as made:
        yield made


def pods_of(here: Controlled, name: str) -> set[str]:
    """Names of the Pods of a pool that are not told to end."""
    return {each for each in names(pods(here.place)) if each.startswith(f"toque-{name}-")}


def asked(here: Controlled, name: str) -> int:
    """Ask a pool's Pod with the pool's secret; the status of the answer."""
    (pod,) = [pod for pod in pods(here.place, is_ready=True) if pod["metadata"]["name"].startswith(f"toque-{name}-")]
    secret = base64.b64decode(here.place.api.get("secrets", f"toque-{name}")["data"]["secret"]).decode()
    url = f"http://{pod['status']['podIP']}:8080"
    body = request(model=name)
    return call(url, "POST", "/v1/chat/completions", body, {"authorization": f"Bearer {secret}"})[0]


def test_ten_lines_serve_a_model(here: Controlled) -> None:
    assert len(TEN_LINES.splitlines()) == 10
    with here.controller():
        here.apply(TEN_LINES)
        here.ready(1)
        assert asked(here, "chat") == 200
        assert here.condition("Ready")["status"] == "True"
        title, row = here.kubectl("get", "mp").splitlines()
        assert title.split() == ["NAME", "READY", "DESIRED", "REASON", "AGE"]
        assert row.split()[:3] == ["chat", "1", "1"]
        assert here.status()["coldStart"]["totalS"] > 0
        assert "0 -> 1: the least that is kept warm" in here.kubectl("get", "events")
        here.kubectl("wait", "--for=condition=Ready", "mp/chat", "--timeout=10s")


def free_ports() -> list[int]:
    """Two ports that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        return [one.getsockname()[1], two.getsockname()[1]]


def toque(*words: str) -> str:
    """What a command of toque prints, on both streams."""
    done = subprocess.run(
        [sys.executable, "-m", "toque", *words], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout + done.stderr


def test_a_controller_answers_ps_and_why_and_tells_probes_and_prometheus_whether_it_leads(here: Controlled) -> None:
    ports = free_ports()
    settings = [f'metrics_listen = "127.0.0.1:{port}"' for port in ports]
    with here.controller("a", settings[0]) as first:
        until(lambda: leads(first))
        here.apply(pool())
        here.ready(1)
        with here.controller("b", settings[1]) as second:
            told = toque("ps", "--admin", first.admin_url)
            assert f"{here.holder()} leads, and answers here" in told
            assert "1 of 1 replica ready, 1 to 4 allowed" in told
            assert "replica 1 ordered" in toque("why", "chat", "--admin", first.admin_url)
            until(lambda: f"{here.holder()} leads; " in toque("ps", "--admin", second.admin_url))
            for port, value in zip(ports, ("1.0", "0.0"), strict=True):
                url = f"http://127.0.0.1:{port}"
                assert call(url, "GET", "/livez")[0] == 200
                assert call(url, "GET", "/readyz")[0] == 200
                assert f"toque_leads {value}" in call(url, "GET", "/metrics")[2].decode()


def rests(here: Controlled, controller: Service, seconds: float) -> bool:
    """Whether nothing is written to any pool while its controller's clock goes on for so long."""

    def written() -> list[str]:
        return [each["metadata"]["resourceVersion"] for each in here.place.api.list("modelpools")]

    def now() -> float:
        return float(controller.get("/admin/v1/pools")["now"])

    before, until_s = written(), now() + seconds
    until(lambda: now() > until_s)
    return written() == before


def test_calm_costs_no_writing(here: Controlled) -> None:
    with here.controller() as controller:
        for name in ("one", "two"):
            here.apply(pool(name))
            here.ready(1, name)
        until(lambda: here.condition("Progressing", "two").get("status") == "False")
        until(lambda: rests(here, controller, 6))  # the decision that follows the last start is told once


def test_an_edit_replaces_the_replicas_of_that_pool_only(here: Controlled) -> None:
    with here.controller():
        for name in ("one", "two"):
            here.apply(pool(name))
            here.ready(1, name)
        before = {name: pods_of(here, name) for name in ("one", "two")}
        here.apply(pool("one", image=OTHER))
        until(lambda: len(pods_of(here, "one")) == 1 and not pods_of(here, "one") & before["one"])
        until(lambda: here.status("one")["observedGeneration"] == 2 and here.status("one")["ready"] == 1)
        assert asked(here, "one") == 200
        assert pods_of(here, "two") == before["two"]


def test_a_bound_that_changes_restarts_nothing(here: Controlled) -> None:
    with here.controller():
        here.apply(pool())
        here.ready(1)
        before = pods_of(here, "chat")
        here.apply(pool(warm=2))
        here.ready(2)
        assert before < pods_of(here, "chat")


def test_kubectl_scale_is_obeyed_and_zero_gives_the_decision_back(here: Controlled) -> None:
    with here.controller():
        here.apply(pool())
        here.ready(1)
        here.kubectl("scale", "mp", "chat", "--replicas=3")
        here.ready(3)
        until(lambda: here.status()["reason"].startswith("replicas.target is set to 3"))  # told by the next decision
        scale = here.place.api.get("modelpools", "chat", "scale")
        assert scale["status"]["replicas"] == 3
        found = here.place.api.list("pods", labels=scale["status"]["selector"])
        assert len(found) == 3
        here.kubectl("scale", "mp", "chat", "--replicas=1")
        here.ready(1)
        here.kubectl("scale", "mp", "chat", "--replicas=0")
        until(lambda: here.status()["observedGeneration"] == 4)
        assert here.status()["desired"] == 1


def test_a_spec_that_contradicts_the_schema_is_refused_and_one_that_contradicts_itself_is_told(
    here: Controlled,
) -> None:
    with here.controller():
        for name in ("one", "two"):
            here.apply(pool(name))
            here.ready(1, name)
        before = names(pods(here.place))
        refused = here.kubectl("apply", "-f", "-", content=json.dumps(pool("one", slots=-1)), is_good=False)
        assert "spec.slots" in refused
        here.apply(pool("one", warm=5, maximum=2, image=OTHER))
        until(lambda: here.condition("Degraded", "one").get("reason") == "LastGoodSpec")
        told = here.condition("Degraded", "one")
        assert told["message"].startswith("spec.replicas.minimumWarm: minimumWarm 5 is above maximum 2.")
        assert told["observedGeneration"] == 2
        assert here.condition("Degraded", "two")["status"] == "False"
        assert names(pods(here.place)) == before
        assert "InvalidSpec" in here.kubectl("get", "events")
        here.apply(pool("one", warm=2, maximum=2))
        here.ready(2, "one")
        until(lambda: here.condition("Degraded", "one")["status"] == "False")


def test_a_deleted_pool_is_gone_with_all_it_had_and_may_come_again(here: Controlled) -> None:
    with here.controller():
        here.apply(pool(warm=2))
        here.apply(pool("other"))
        here.ready(2)
        here.ready(1, "other")
        here.kubectl("delete", "mp", "chat", "--timeout=30s")
        assert here.place.api.find("modelpools", "chat") is None
        assert here.place.api.find("secrets", "toque-chat") is None
        assert not here.place.api.list("deployments", "toque.dev/pool=chat")
        until(lambda: not here.place.api.list("pods", "toque.dev/pool=chat"))
        here.apply(pool())
        here.ready(1)
        assert asked(here, "chat") == 200
        assert here.status("other")["ready"] == 1


def test_an_image_that_is_not_there_is_told_where_people_look(here: Controlled) -> None:
    with here.controller():
        here.apply(pool(image="registry.test/nothing:1"))
        until(
            lambda: (
                here.condition("Degraded").get("status") == "True"
                and "nothing:1" in here.condition("Degraded")["message"]
            )
        )
        assert here.condition("Ready")["status"] == "False"
        here.apply(pool())
        here.ready(1)
        until(lambda: here.condition("Degraded")["status"] == "False")


def test_a_deletion_waits_for_a_controller_and_is_seen_through_by_the_next_one(here: Controlled) -> None:
    with here.controller() as first:
        here.apply(pool(warm=2))
        here.ready(2)
        first.stop()
    here.kubectl("delete", "mp", "chat", "--wait=false")
    assert here.place.api.get("modelpools", "chat")["metadata"]["deletionTimestamp"]
    assert len(pods(here.place)) == 2
    with here.controller("b"):
        until(lambda: here.place.api.find("modelpools", "chat") is None)
        until(lambda: not here.place.api.list("pods", "toque.dev/pool=chat"))
        assert here.place.api.find("secrets", "toque-chat") is None
