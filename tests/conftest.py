"""What tests of several rooms share."""

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster.place import Cluster, Place, namespace, running
from tests.cluster.rig import MissingError, find_binaries
from tests.images import building
from tests.images.building import TOOLS, Image, build, need
from tests.postgres import PostgresServer, postgres
from toque.agents import embedded

SHARED = frozenset({"image", "cluster"})
"""Fixtures that take long to make: of several processes that run the tests side by side, one only makes each."""


@pytest.hookimpl(tryfirst=True)  # before whoever reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have those who share a fixture run in one process."""
    for item in items:
        for name in SHARED.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group(name))


@pytest.fixture(scope="session")
def embedded_model() -> Path:
    """The real small model, where `toque up` keeps it; fetched the first time, as by `toque up`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "toque" / "models"
    with ThreadPoolExecutor(1) as outside:  # asked for first by an async fixture, it would meet a running loop
        return outside.submit(asyncio.run, embedded.find_or_fetch(cache, lambda _: None)).result()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Start one PostgreSQL for all stories; each asks it for a database of its own."""
    with postgres() as running:
        yield running


@pytest.fixture(scope="session")
def image(embedded_model: Path) -> Iterator[Image]:
    """The embedded model's image, built for real; half a minute."""
    need(*TOOLS)
    with building.place() as folder:
        yield Image(folder, build(folder, "--layout", str(folder / "layout")))


@pytest.fixture(scope="session")
def kubernetes() -> None:
    """Skip with a word where the binaries are missing."""
    try:
        find_binaries()
    except MissingError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def cluster(kubernetes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster that stories share; machines `one` and `two`."""
    with running(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture
def place(cluster: Cluster) -> Iterator[Place]:
    """A namespace of the shared cluster."""
    with namespace(cluster) as made:
        yield made


@pytest.fixture
def private_cluster(kubernetes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Cluster]]:
    """Make a cluster of the story's own, with the flags given as to `ControlPlane`."""
    with ExitStack() as stack:
        yield lambda **flags: stack.enter_context(running(tmp_path_factory.mktemp("cluster"), **flags))
