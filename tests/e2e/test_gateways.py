"""Three gateways and a controller, each a process of its own: they share slots fairly, overfill nothing, and die one by one."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

from tests.service import PATIENCE_S, Service, started, until
from toque.testing.answers import Answer
from toque.testing.background import in_background
from toque.testing.engine import FakeEngine, Received

pytestmark = pytest.mark.slow
SLOTS = 6
SECRET = {"TOQUE_TOKEN": "of this test alone"}
NAMES = ("a", "b", "c")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class Watched:
    """An engine that takes its time, and the most requests it ever had at once."""

    peak: int = 0
    engine: FakeEngine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = FakeEngine(self.answer)

    def answer(self, _: Received) -> Answer:
        """Answer in a while."""
        self.peak = max(self.peak, self.engine.in_flight + 1)
        return Answer(delay_s=0.1)


@contextmanager
def controller(folder: Path, port: int, models: str) -> Iterator[Service]:
    """Run `toque controller` without Kubernetes."""
    folder.mkdir(exist_ok=True)
    path = folder / "toque.toml"
    path.write_text(
        f'admin_listen = "127.0.0.1:0"\nrecords = {{ state_dir = "{folder}" }}\n'
        f'[cluster]\ntoken = "env:TOQUE_TOKEN"\nlisten = "127.0.0.1:{port}"\n{models}'
    )
    with started(["controller", "--standalone", "--json", "--config", str(path)], folder, SECRET) as service:
        service.admin_url = service.announces("StandsReady")["admin_url"]
        yield service


@contextmanager
def gateway(folder: Path, name: str, port: int, *, is_served: bool = True) -> Iterator[Service]:
    """Run `toque up` as a gateway."""
    home = folder / name
    home.mkdir(exist_ok=True)
    path = home / "toque.toml"
    path.write_text(
        f'listen = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\nrecords = {{ state_dir = "{home}" }}\n'
        f'[cluster]\ncontrollers = ["127.0.0.1:{port}"]\ntoken = "env:TOQUE_TOKEN"\nname = "{name}"\n'
    )
    with started(["up", "--json", "--config", str(path)], home, SECRET) as service:
        if is_served:
            service.listening()
        yield service


def gateways(folder: Path, port: int, stack: ExitStack) -> list[Service]:
    """Run three of them."""
    sides = [stack.enter_context(gateway(folder, name, port, is_served=False)) for name in NAMES]
    for side in sides:
        side.listening()
    return sides


class Load:
    """People who ask one gateway again and again; `statuses` are what they got."""

    def __init__(self, service: Service, people: int) -> None:
        self._service = service
        self._is_over = threading.Event()
        self.statuses: list[int] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(people)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._is_over.is_set():
            try:
                self.statuses.append(self._service.ask()[0])
            except OSError:
                self._service.process.wait(PATIENCE_S)  # only a gateway that was killed may cut somebody off
                return


def slots(service: Service) -> int:
    """Slots that a gateway holds."""
    return sum(replica["slots"] for replica in service.pool()["replicas"])


def leader(service: Service) -> str:
    """Who scales, in the words of `toque ps`."""
    return str(service.get("/admin/v1/pools")["leader"])


def test_gateways_serve_what_a_controller_started_and_tell_who_scales(tmp_path: Path) -> None:
    port = free_port()
    models = f'[models.chat]\nagent = "fake"\nslots = {SLOTS}\nreplicas = {{ minimum_warm = 0, maximum = 2 }}\n'
    with ExitStack() as stack:
        boss = stack.enter_context(controller(tmp_path / "boss", port, models))
        sides = gateways(tmp_path, port, stack)
        status, _, _ = sides[2].ask()  # nothing is warm: this starts a replica
        assert status == 200
        for side in sides:
            assert side.ask()[0] == 200
            assert "which scales" in leader(side)
        until(lambda: sum(map(slots, sides)) == SLOTS)
        assert boss.pool()["replicas"][0]["state"] == "ready"
        assert sides[0].stop() == 0
        until(lambda: sum(map(slots, sides[1:])) == SLOTS)


@pytest.mark.timeout(180)  # seven processes start, some of them one after the other
def test_three_gateways_share_an_engine_and_outlive_a_gateway_and_the_controller(tmp_path: Path) -> None:
    port, watched = free_port(), Watched()
    with ExitStack() as stack:
        engine = stack.enter_context(in_background(watched.engine))
        models = f'[models.chat]\nagent = "openai"\nurl = "{engine.url}"\nslots = {SLOTS}\n'
        boss = stack.enter_context(controller(tmp_path / "boss", port, models))
        sides = gateways(tmp_path, port, stack)
        loads = [Load(side, people) for side, people in zip(sides, (12, 1, 1), strict=True)]
        with ExitStack() as people:
            for load in loads:
                people.enter_context(load)
            until(lambda: all(len(load.statuses) > 20 for load in loads))
            assert sum(map(slots, sides)) <= SLOTS
            sides[2].process.kill()
            until(lambda: slots(sides[0]) + slots(sides[1]) == SLOTS)
            boss.process.kill()
            until(lambda: "no controller answers" in leader(sides[0]))
            before = len(loads[0].statuses)
            until(lambda: len(loads[0].statuses) > before + 50)
            stack.enter_context(controller(tmp_path / "boss", port, models))
            until(lambda: all("which scales" in leader(side) for side in sides[:2]))
            stack.enter_context(gateway(tmp_path, "d", port))
            served = [len(load.statuses) for load in loads[:2]]
            until(lambda: all(len(load.statuses) > was + 20 for load, was in zip(loads, served, strict=False)))
    assert watched.peak == SLOTS
    for load in loads:
        assert set(load.statuses) == {200}


def test_a_gateway_with_another_token_or_a_name_that_is_taken_is_not_taken_in(tmp_path: Path) -> None:
    port = free_port()
    models = '[models.chat]\nagent = "fake"\nslots = 2\n'
    with ExitStack() as stack:
        stack.enter_context(controller(tmp_path / "boss", port, models))
        stack.enter_context(gateway(tmp_path, "a", port))
        second = stack.enter_context(gateway(tmp_path / "a", "a", port, is_served=False))
        second.announces("Assumed")
        SECRET["TOQUE_TOKEN"] = "another"
        try:
            stranger = stack.enter_context(gateway(tmp_path, "b", port, is_served=False))
        finally:
            SECRET["TOQUE_TOKEN"] = "of this test alone"
        stranger.announces("Assumed")
        assert stranger.stop() == 0
        assert second.stop() == 0
        assert "Listening" not in {told["announcement"] for told in (*second.announced, *stranger.announced)}
