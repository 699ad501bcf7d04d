"""`toque replica` and `toque image build` tell mistakes before they start anything."""

from pathlib import Path

import pytest

from tests.cli.screen import Screen
from toque.cli.exits import Exit

TWO = '[models.a]\nsource = "embedded"\n[models.b]\nagent = "openai"\nurl = "http://127.0.0.1:9/v1"\n'


def said(folder: Path, *words: str) -> str:
    settings = folder / "toque.toml"
    settings.write_text(TWO)
    screen = Screen()
    assert screen.run(*words, "--config", str(settings)) == Exit.USAGE
    return screen.said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["replica"], "several models"),
        (["replica", "a", "--listen", "8080"], "not host:port"),
        (["replica", "a"], "no secret at env:TOQUE_REPLICA_SECRET"),
        (["image", "build", "c"], "no model 'c'"),
        (["image", "build", "b"], "runs elsewhere"),
        (["image", "build", "--base", "debian:potato"], "no Debian root"),
        (["image", "build", "--weights", "fetched"], "an address and a digest"),
    ],
)
def test_a_mistake_is_told_with_what_to_do(words: list[str], told: str, tmp_path: Path) -> None:
    text = said(tmp_path, *words)
    assert told in text
    assert "Traceback" not in text
