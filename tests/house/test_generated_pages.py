"""What is made from the code says what the code says."""

from pathlib import Path

import pytest
from docs.generate import CHART, generated
from tests.house.source import ROOT, tracked

GENERATED = generated()


@pytest.mark.parametrize("place", GENERATED, ids=lambda place: place.relative_to(ROOT).as_posix())
def test_generated_files_are_current(place: Path) -> None:
    assert place.read_text() == GENERATED[place], "run ./dev docs"


def test_nothing_else_is_in_the_chart() -> None:
    assert {path for path in tracked() if path.is_relative_to(CHART)} == {
        path for path in GENERATED if path.is_relative_to(CHART)
    }
