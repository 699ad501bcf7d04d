"""What the stories of the command line share."""

import pytest

from tests.cli.screen import Screen


@pytest.fixture
def screen() -> Screen:
    """A terminal that is a pipe, with an empty environment."""
    return Screen()
