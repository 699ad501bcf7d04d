"""Replicas that somebody else runs: known at once, probed by connecting."""

import asyncio
import socket
from pathlib import Path

import pytest

from tests.drivers.bench import Reports, model
from toque.drivers import open_driver
from toque.drivers.site import Site
from toque.drivers.static import StaticDriver
from toque.model.endpoint import Endpoint
from toque.model.errors import ConfigError
from toque.model.messages import ReplicaHealthy, ReplicaReady, ReplicaStopped, ReplicaUnreachable
from toque.ports import Driver, ReplicaStatus


def opened(reports: Reports, endpoint: Endpoint | None) -> Driver:
    """A static driver for a model at `endpoint`."""
    site = Site(reports.take, reports.advance, lambda *_: None, lambda _: endpoint, {}, Path())
    return open_driver("static", site)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


async def test_it_is_ready_at_once_and_gone_at_once() -> None:
    reports = Reports()
    driver = opened(reports, Endpoint("127.0.0.1", 9))
    driver.start(1, model())
    assert driver.endpoint(1) == Endpoint("127.0.0.1", 9)
    assert driver.is_ours(1)
    assert driver.status(1) == ReplicaStatus()
    driver.stop(1)
    assert reports.events == [ReplicaReady(1), ReplicaStopped(1)]
    assert driver.endpoint(1) is None
    assert not driver.is_ours(1)
    await driver.close()


async def test_an_address_that_takes_connections_is_healthy() -> None:
    reports = Reports()
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    driver = opened(reports, Endpoint("127.0.0.1", server.sockets[0].getsockname()[1]))
    driver.start(1, model())
    driver.probe(1)
    driver.probe(1)
    await reports.first(ReplicaHealthy)
    await driver.close()
    server.close()
    await server.wait_closed()
    assert reports.names() == ["ReplicaReady", "ReplicaHealthy"]


@pytest.mark.parametrize("secure", [False, True])
async def test_an_address_that_takes_none_is_told_and_kept(secure: bool) -> None:
    reports = Reports()
    driver = opened(reports, Endpoint("127.0.0.1", free_port(), secure=secure))
    driver.start(1, model())
    driver.probe(1)
    told = await reports.first(ReplicaUnreachable)
    assert told == ReplicaUnreachable(1, "its address cannot be reached")
    assert driver.endpoint(1) is not None
    await driver.close()


async def test_closing_ends_probes_under_way() -> None:
    reports = Reports()
    driver = opened(reports, Endpoint("127.0.0.1", free_port()))
    driver.start(1, model())
    driver.probe(1)
    await driver.close()
    assert reports.events == [ReplicaReady(1)]


def test_a_model_without_an_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="no address"):
        opened(Reports(), None).start(1, model())


def test_a_driver_of_one_s_own_is_named_by_module_and_class() -> None:
    site = Site(Reports().take, lambda *_: None, lambda *_: None, lambda _: None, {}, Path())
    assert isinstance(open_driver("toque.drivers.static:StaticDriver", site), StaticDriver)


@pytest.mark.parametrize("name", ["nothing", "json:Nothing", "no.such.module:Driver", ""])
def test_a_driver_that_is_not_there_is_a_config_error_with_a_way_out(name: str) -> None:
    site = Site(lambda _: None, lambda *_: None, lambda *_: None, lambda _: None, {}, Path())
    with pytest.raises(ConfigError) as raised:
        open_driver(name, site)
    assert "process, static" in raised.value.fix
