"""One notion, one word: names in the source keep to docs/glossary.md."""

import ast
import re
from collections.abc import Iterator

from tests.house.source import ROOT, Function, Module, hold, modules

FOREIGN = {"data_received"}
"""Names that asyncio calls, so not ours to choose."""


def _forbidden() -> set[str]:
    refused = (ROOT / "docs" / "glossary.md").read_text("utf-8").partition("## Words we do not use")[2]
    cells = re.findall(r"^\| ([a-z, ]+) \|", refused, re.MULTILINE)
    return {word.strip() for cell in cells for word in cell.split(",")}


def _words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def _names(module: Module) -> Iterator[str]:
    yield module.name.rpartition(".")[2]
    for node in ast.walk(module.tree):
        if isinstance(node, Function | ast.ClassDef) and node.name not in FOREIGN:
            yield node.name


def test_the_glossary_says_which_words_we_do_not_use() -> None:
    assert {"worker", "instance", "node", "manager", "helper", "utils", "data"} <= _forbidden()


def test_names_keep_to_the_glossary() -> None:
    forbidden = _forbidden()
    hold(
        "glossary",
        (f"{module.place}:{name}" for module in modules("src") for name in _names(module) if _words(name) & forbidden),
    )
