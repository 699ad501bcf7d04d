"""The example `swap`: one application, untouched, over a local model and over a URL, by one line of its settings."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.children import running
from toque.agents.fake import FakeKind
from toque.model.agent_spec import AgentSpec, ModelSpec
from toque.model.spec import PoolSpec

EXAMPLE = Path(__file__).parents[2] / "examples" / "swap"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy whose settings may be edited."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "swap"))


def put(example: Path, line: str) -> None:
    """Make `line` the one that says what `chat` is."""
    settings = example / "toque.toml"
    lines = settings.read_text().splitlines()
    (position,) = [number for number, known in enumerate(lines) if known.startswith("chat = ")]
    lines[position] = line
    settings.write_text("\n".join(lines))


def answer(example: Path) -> str:
    """Run the application; return what it printed."""
    argv = [sys.executable, str(example / "application.py"), "Name the capital of France."]
    return subprocess.run(argv, capture_output=True, text=True, timeout=50, check=True, env=os.environ).stdout


@pytest.mark.slow
def test_the_application_runs_over_a_url_after_one_line_was_edited(example: Path) -> None:
    hosted = ModelSpec(PoolSpec("large-1"), AgentSpec(agent="fake", options={"tokens": 5}))
    with running(FakeKind(), hosted) as replica:
        assert replica.endpoint.key is not None
        (example / "key").write_text(replica.endpoint.key.reveal())
        url = f"http://127.0.0.1:{replica.endpoint.port}/v1"
        key = f"file:{example / 'key'}"
        put(example, f'chat = {{ agent = "openai", url = "{url}", key = "{key}", upstream_model = "large-1" }}')
        whole, sentence, streamed = answer(example).splitlines()
    assert whole == streamed
    assert len(whole.split()) == 5
    assert sentence == "(stop, 5 tokens)"


@pytest.mark.slow
@pytest.mark.usefixtures("embedded_model")
def test_the_application_runs_over_the_embedded_model_as_it_stands(example: Path) -> None:
    printed = answer(example)
    assert printed.count("Paris") == 2
