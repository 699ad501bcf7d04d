"""What is made from the code says what the code says."""

import pytest
from docs.generate import REFERENCE, pages

FROM_CODE = {name: text for name, text in pages().items() if name != "faults.md"}


@pytest.mark.parametrize(("name", "text"), FROM_CODE.items(), ids=list(FROM_CODE))
def test_reference_pages_are_current(name: str, text: str) -> None:
    assert (REFERENCE / name).read_text() == text, "run ./dev docs"
