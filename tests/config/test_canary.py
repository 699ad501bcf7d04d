"""A canary in the settings: what is read, and one that could never be asked is refused with its place."""

from collections.abc import Callable
from pathlib import Path

import pytest

from toque.config.read import read_config
from toque.model.errors import ConfigError
from toque.model.fallback_spec import CanarySpec

CHAT = '[models.chat]\nagent = "fake"\ncanary = {{ model = "{}", share = 0.25 }}\n'
NEXT = '[models.next]\nagent = "fake"\n'


def test_a_canary_is_read_with_its_share(tmp_path: Path) -> None:
    path = tmp_path / "toque.toml"
    path.write_text(CHAT.format("next") + NEXT)
    chat, _ = read_config(path, {}, {}).models
    assert chat.pool.canary == CanarySpec("next", 0.25)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (CHAT.format("nxt") + NEXT, "There is no model 'nxt'."),
        (CHAT.format("chat"), "chat cannot be its own canary."),
        (
            CHAT.format("next") + f"{NEXT}replicas = {{ minimum_warm = 0 }}\n",
            "a canary that is not ready is never asked",
        ),
        (
            CHAT.format("next") + '[models.next]\nagent = "openai"\nurl = "https://api.example.com/v1"\n',
            "requests for chat stay on this one",
        ),
    ],
)
def test_a_canary_that_could_never_be_asked_is_refused(
    complaint: Callable[[str], ConfigError], settings: str, told: str
) -> None:
    error = complaint(settings)
    assert told in error.message
    assert "toque.toml:3" in error.where
