"""Which model a replica that stands alone has: its image's, and what is not there is fetched."""

from pathlib import Path

import pytest

from toque.agents.embedded import FILE_BYTES, FILE_NAME
from toque.app import replica
from toque.config.read import read_settings


def test_the_embedded_model_of_an_image_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "MODELS_DIR", str(tmp_path))
    monkeypatch.setattr(replica, "find_or_fetch", None)
    with (tmp_path / FILE_NAME).open("wb") as file:
        file.truncate(FILE_BYTES)
    spec = read_settings("settings", '[models.chat]\nsource = "embedded"\n', {})
    found = replica.find_model(spec, "chat", {"XDG_CACHE_HOME": "/proc/nowhere"})
    assert found.agent.source == str(tmp_path / FILE_NAME)
