"""The page of errors knows every code that the source sends."""

import re
from pathlib import Path

import toque
from toque.cli.parser import VERBS
from toque.cli.reference import cli_page, errors_page

_SOURCE = Path(toque.__file__).parent


def test_every_code_that_is_sent_stands_on_the_page() -> None:
    texts = (path.read_text("utf-8") for path in _SOURCE.rglob("*.py"))
    sent = {code for text in texts for code in re.findall(r'\bcode ?= ?"([a-z_]+)"', text)}
    known = set(re.findall(r"^\| \d+ \| `([a-z_]+)` \|", errors_page(), re.MULTILINE))
    assert sent - {"invalid_config"} <= known


def test_every_verb_has_its_section() -> None:
    page = cli_page()
    assert all(f"\n## toque {name}\n" in page for name in VERBS)
