"""What tests of several rooms share."""

import asyncio
import os
from pathlib import Path

import pytest

from toque.agents import embedded


@pytest.fixture(scope="session")
def embedded_model() -> Path:
    """The real small model, where `toque up` keeps it; fetched the first time, as by `toque up`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "toque" / "models"
    return embedded.find(cache) or asyncio.run(embedded.find_or_fetch(cache, lambda _: None))
