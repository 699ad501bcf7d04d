"""The page on adding an agent does not lie: its class and its settings run as they stand there."""

import re
from pathlib import Path

import pytest

import toque
from toque.model.inference import Message, PromptContext

PAGE = Path(__file__).parents[2] / "docs" / "add-an-agent.md"


def block(language: str) -> str:
    """The first block of code in that language."""
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found.group(1)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shout.py").write_text(block("python"))
    (tmp_path / "toque.toml").write_text(block("toml"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "toque.toml"


async def test_the_class_of_the_page_is_served_as_the_page_says(settings: Path) -> None:
    async with toque.open(settings) as fleet:
        agent = fleet.agent("loud")
        context = PromptContext(messages=[Message("user", "hello you")])
        assert (await agent.generate(context)).text.split() == ["HELLO", "YOU!!!"]
        assert [delta.text async for delta in agent.stream(context)][:2] == ["HELLO ", "YOU!!! "]
