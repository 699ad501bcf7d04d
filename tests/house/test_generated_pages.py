"""What is made from the code says what the code says."""

import pytest
from docs.generate import REFERENCE, pages


@pytest.mark.parametrize(("name", "text"), pages().items(), ids=list(pages()))
def test_reference_pages_are_current(name: str, text: str) -> None:
    assert (REFERENCE / name).read_text() == text, "run ./dev docs"
