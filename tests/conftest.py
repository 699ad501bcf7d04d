"""What tests of several rooms share."""

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.images.building import TOOLS, Image, build, need, place
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
    with place() as folder:
        yield Image(folder, build(folder, "--layout", str(folder / "layout")))
