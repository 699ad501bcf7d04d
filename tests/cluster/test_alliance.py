"""A whole fleet: ModelPools, controllers that elect a leader, and a gateway that serves what the leader lends it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.controlled import Controlled, controlled, leads, pool
from tests.cluster.place import Place
from tests.cluster.served import asked_by, names, pods
from tests.cluster.test_operator import free_ports
from tests.service import serving, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture
def here(place: Place, tmp_path: Path) -> Iterator[Controlled]:
    with controlled(place, tmp_path) as made:
        yield made


def test_a_gateway_serves_on_while_its_leader_is_killed_and_the_next_one_lends_to_it(
    here: Controlled, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("canary-of-a-test")
    token = f'token = "file:{tmp_path / "token"}"'
    ports = free_ports()
    doors = [f'[cluster]\nlisten = "127.0.0.1:{port}"\n{token}\n' for port in ports]
    addresses = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    with here.controller("a", doors[0]) as first, here.controller("b", doors[1]) as second:
        until(lambda: leads(first) or leads(second))
        leader, other = (first, second) if leads(first) else (second, first)
        here.apply(pool(warm=2))
        here.ready(2)
        folder = tmp_path / "gateway"
        folder.mkdir()
        with serving(folder, f"[cluster]\ncontrollers = [{addresses}]\n{token}\n", is_ready=False) as gateway:
            until(lambda: gateway.ask()[0] == 200)
            before = names(pods(here.place))
            with asked_by(gateway, 2) as load:
                load.served()
                leader.process.kill()
                killed_at = time.monotonic()
                until(lambda: leads(other), 20)
                assert time.monotonic() - killed_at < 15
                load.served(200)
            assert load.is_flawless, load.bodies
            assert names(pods(here.place)) == before
            until(lambda: other.pool()["in_flight"] == 0 and len(other.replicas()) == 2)
            here.kubectl("scale", "mp", "chat", "--replicas=3")
            here.ready(3)
            until(lambda: gateway.ask()[0] == 200)
