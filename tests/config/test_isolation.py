"""Isolation in the settings: what is read, and what could hold nowhere."""

from pathlib import Path

import pytest

from toque.app.plan import settle_threads
from toque.config.read import read_config
from toque.model.errors import ConfigError
from toque.model.isolation_spec import FREE, IsolationSpec
from toque.model.service_spec import ServiceSpec

BATCH = """\
[models.chat]
source = "./chat.gguf"
[models.summaries]
source = "./small.gguf"
[models.summaries.isolation]
service_class = "batch"
cores = "1"
cpu_weight = 20
cpu_max = 1.5
memory_bytes_max = "512MiB"
"""


def read(folder: Path, text: str) -> ServiceSpec:
    file = folder / "toque.toml"
    file.write_text(text)
    return read_config(file, {}, {})


def test_a_whole_example_is_read_and_other_models_are_left_free(tmp_path: Path) -> None:
    chat, summaries = read(tmp_path, BATCH).models
    assert chat.isolation == FREE
    assert summaries.isolation == IsolationSpec(
        "batch", cores="1", cpu_weight=20, cpu_max=1.5, memory_bytes_max=512 * 2**20
    )


def test_an_engine_gets_no_more_threads_than_it_may_run_at_once(tmp_path: Path) -> None:
    chat, summaries = settle_threads(read(tmp_path, BATCH).models, 8)
    assert (chat.agent.threads, summaries.agent.threads) == (4, 1)
    (capped,) = settle_threads(read(tmp_path, '[models.a]\nsource = "a.gguf"\nisolation = { cpu_max = 1.5 }').models, 8)
    assert capped.agent.threads == 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('agent = "fake"\nisolation = { cores = "3-1" }', "'3-1' ends before it begins"),
        ('agent = "openai"\nurl = "http://127.0.0.1:9/v1"\nisolation = { nice = 1 }', "not ours to isolate"),
        ('agent = "fake"\nisolation = { service_class = "quick" }', "service_class"),
        ('agent = "fake"\nisolation = { nice = 20 }', "nice"),
    ],
)
def test_what_could_hold_nowhere_is_refused_with_its_place(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        read(tmp_path, f"[models.chat]\n{text}\n")
    assert "toque.toml" in caught.value.where
    assert caught.value.fix
