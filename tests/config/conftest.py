"""Settings files for the stories of this folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from toque.config.read import read_config
from toque.model.errors import ConfigError

EXAMPLE = """\
listen = "127.0.0.1:8080"

[models.chat]
agent = "llama.cpp"                  # or openai, fake, package.module:Class
source = "./model.gguf"
slots = 2
replicas = { minimum_warm = 1, maximum = 4, idle_to_zero_s = 600 }
scaling = { policy = "concurrency", target = 1.5 }
queue = { length_max = 256, wait_s_max = 30 }

[models.hosted]
agent = "openai"
url = "https://api.example.com/v1"
key = "env:EXAMPLE_KEY"
slots = 64
"""


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """Return the example of the documentation, as a file."""
    path = tmp_path / "toque.toml"
    path.write_text(EXAMPLE)
    return path


@pytest.fixture
def complaint(tmp_path: Path) -> Callable[[str], ConfigError]:
    """Return a function that reads a settings text and hands back the error it must raise."""

    def read(text: str) -> ConfigError:
        path = tmp_path / "toque.toml"
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            read_config(path, {}, {})
        caught.value.where = caught.value.where.removeprefix(f"{tmp_path}/")
        return caught.value

    return read
