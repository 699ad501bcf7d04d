"""The tests keep rules of their own: they wait for conditions, not for time, and none is skipped in silence."""

import ast
from collections.abc import Iterator

from tests.house.source import Module, dotted, hold, modules

SLEEPS = {"asyncio.sleep", "anyio.sleep", "time.sleep", "sleep"}


def _sleeps(module: Module) -> Iterator[str]:
    for call in module.nodes(ast.Call):
        length = call.args[0] if call.args else None
        if dotted(call.func) in SLEEPS and not (isinstance(length, ast.Constant) and length.value == 0):
            yield ast.unparse(call)


def test_no_test_sleeps() -> None:
    hold("sleep", (f"{module.place}:{call}" for module in modules("tests") for call in _sleeps(module)))


def test_names_of_tests_are_sentences() -> None:
    names = (
        f"{module.place}:{function.name}"
        for module in modules("tests")
        for function in (*module.nodes(ast.FunctionDef), *module.nodes(ast.AsyncFunctionDef))
        if function.name.startswith("test_") and function.name.count("_") < 3
    )
    hold("sentence", names)
