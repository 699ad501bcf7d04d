"""`toque controller` on a real control plane: ten lines become a served model, and everything that happens to them is followed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.controlled import TEN_LINES, Controlled, controlled
from tests.cluster.place import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture
def here(place: Place, tmp_path: Path) -> Iterator[Controlled]:
    with controlled(place, tmp_path) as made:
        yield made


def test_ten_lines_serve_a_model(here: Controlled) -> None:
    assert len(TEN_LINES.splitlines()) == 10
    with here.controller():
        here.apply(TEN_LINES)
        here.ready(1)
        assert here.condition("Ready")["status"] == "True"
        print(
            here.kubectl("get", "mp", "-o", "wide"),
            here.kubectl("get", "mp", "-o", "yaml"),
            here.kubectl("get", "events"),
        )
