"""Which store the settings mean, and what is said of one that cannot be used."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import PostgresServer
from toque.app.jobs import open_store_of
from toque.model.batch import Purpose
from toque.model.errors import ConfigError
from toque.model.service_spec import JobSpec


@pytest.fixture
def nobody() -> Iterator[None]:
    """Be somebody whom permissions hold back: they do not, for root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_a_server_is_found_where_a_reference_says(
    postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS", postgres_server.database())
    for _ in range(2):
        with open_store_of(JobSpec(store="env:JOBS"), tmp_path) as (_, shelf):
            shelf.put("ann", Purpose.BATCH, "a.jsonl", [b"{}"])
            found = len(shelf.all_of("ann"))
    assert found == 2
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("JOBS", "sk-CANARY")
    with (
        pytest.raises(ConfigError, match="env:JOBS has no URL") as refused,
        open_store_of(JobSpec(store="env:JOBS"), tmp_path),
    ):
        pass
    assert "sk-CANARY" not in str(refused.value)


def test_who_has_no_driver_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "toque.batch.postgres", None)
    with pytest.raises(ConfigError) as refused, open_store_of(JobSpec(store="postgresql://127.0.0.1/jobs"), tmp_path):
        pass
    assert refused.value.fix == "pip install 'toque[postgres]'"


@pytest.mark.usefixtures("nobody")
def test_b15_a_folder_that_cannot_be_written_is_refused_with_a_way_out() -> None:
    with (
        pytest.raises(ConfigError, match="cannot write the job store /usr/toque/jobs") as refused,
        open_store_of(JobSpec(store="/usr/toque/jobs.sqlite"), Path("/")),
    ):
        pass
    assert refused.value.fix == "set jobs.store to a file, or to off"
