"""Size and shape of the source: short files, short functions, a purpose on top, nothing that nobody uses."""

import ast

from tests.house.source import Function, hold, imports, modules

FILE_LINES_MAX = 300
FUNCTION_LINES_MAX = 50
PURPOSE_LINES_MAX = 5
PURPOSE_WORDS_MIN = 4
ENTRIES = {"toque", "toque.__main__", "toque.cli", "toque.testing.__main__"}
"""What is started from outside: the import, `python -m` and the console script."""


def test_no_source_file_is_longer_than_its_limit() -> None:
    long = (module for module in modules("src") if len(module.text.splitlines()) > FILE_LINES_MAX)
    hold("file-length", (module.place for module in long))


def test_no_function_is_longer_than_its_limit() -> None:
    hold(
        "function-length",
        (
            f"{module.place}:{node.name}"
            for module in modules("src")
            for node in ast.walk(module.tree)
            if isinstance(node, Function) and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX
        ),
    )


def test_every_module_opens_with_its_purpose_in_one_to_five_lines() -> None:
    def tells(text: str) -> bool:
        purpose = text.split("\n\n", maxsplit=1)[0]  # a law, a drawing or a format may follow
        return len(purpose.split()) >= PURPOSE_WORDS_MIN and len(purpose.splitlines()) <= PURPOSE_LINES_MAX

    hold("purpose", (module.place for module in modules("src") if not tells(ast.get_docstring(module.tree) or "")))


def test_no_module_lies_about_unused() -> None:
    source = modules("src")
    used = {name for module in (*source, *modules("docs", "bench")) for name in imports(module)}
    used |= {module.name.rpartition(".")[0] for module in source}
    named = {text.value for module in source for text in module.nodes(ast.Constant) if isinstance(text.value, str)}
    started = {text.partition(":")[0] for text in named}
    hold("unused", (module.place for module in source if module.name not in used | started | ENTRIES))
