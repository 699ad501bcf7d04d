"""One choice a file, one line in the table of its package, and no choice knows of another.

That is what lets a newcomer add an agent, a driver, a scaling policy or a router without reading the others.
"""

import ast
import re
from collections.abc import Iterator

import pytest
from tests.house.source import Module, hold, imports, modules

EAGER = ("toque.core.routing", "toque.core.scaling")
"""Every file of these packages is a choice."""
LAZY = ("toque.agents", "toque.drivers")
"""What the table names is a choice, imported when it is asked for; the other files are parts that choices share."""


def _found() -> dict[str, Module]:
    return {module.name: module for module in modules("src")}


def _named(package: Module) -> Iterator[str]:
    """What a package imports inside functions or names as `package.module:Class`."""
    for statement in package.nodes(ast.ImportFrom):
        if statement not in package.tree.body:
            yield statement.module or ""
    for text in package.nodes(ast.Constant):
        if isinstance(text.value, str) and (
            match := re.fullmatch(rf"({re.escape(package.name)}\.\w+):\w+", text.value)
        ):
            yield match[1]


def _choices(package: str) -> set[str]:
    found = _found()
    if package in EAGER:
        return {name for name in found if name.rpartition(".")[0] == package}
    return {name for name in _named(found[package]) if name in found}


def _reached(start: str, package: str) -> set[str]:
    """Modules of a package that a module imports, however far down."""
    found, reached, ahead = _found(), set[str](), [start]
    while ahead:
        inside = {name for name in imports(found[ahead.pop()]) if name in found and name.startswith(package)}
        ahead.extend(inside - reached)
        reached |= inside
    return reached


def test_every_policy_and_router_stands_in_the_table_of_its_package() -> None:
    hold("table", {name for package in EAGER for name in _choices(package) - set(imports(_found()[package]))})


@pytest.mark.parametrize("package", LAZY)
def test_a_table_names_choices_that_are_there(package: str) -> None:
    assert len(_choices(package)) > 1
    assert {name for name in _named(_found()[package]) if name.startswith(package)} == _choices(package)


def test_no_choice_knows_of_another_or_of_the_table() -> None:
    def known(package: str) -> Iterator[str]:
        choices = _choices(package)
        for choice in choices:
            yield from (
                f"{choice} -> {other}" for other in _reached(choice, package) & (choices | {package}) - {choice}
            )

    hold("siblings", (pair for package in EAGER + LAZY for pair in known(package)))
