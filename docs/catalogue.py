"""The catalogue of faults as a page: each case, what is promised then, the tests that show it, the recovery last measured.

Law: a test belongs to the cases whose ids stand in its name, so nothing is kept by hand but docs/faults.toml.
"""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
CASES = ROOT / "docs" / "faults.toml"
RECOVERY = ROOT / "docs" / "recovery.json"
"""By id: `seconds` until things were well again when it was last measured, and `how`. Written by benchmarks."""
ID = re.compile(r"(?<=_)[rucolbhs]\d\d(?=_)")

HEAD = """# Faults

Made by `./dev docs` from [faults.toml](../faults.toml) and from the names of the tests; do not edit. What may go wrong, what toque
promises then, and where that is shown: on real processes and sockets, in stories of the core, or in the
[thousands of schedules](../explanation/faults.md) in which everything goes wrong at once.
"""


@dataclass(frozen=True)
class Case:
    """One case. `comes_with` names what is not built yet and brings it along; empty for a promise of today."""

    id: str
    fault: str
    promise: str
    comes_with: str = ""


@cache
def groups() -> dict[str, list[Case]]:
    """Cases by the title of their group, in the catalogue's order."""
    told = tomllib.loads(CASES.read_text("utf-8"))
    return {
        group["title"]: [Case(name, *case) for name, case in group.items() if name != "title"]
        for group in told.values()
    }


@cache
def shown() -> dict[str, list[str]]:
    """Files of tests by the ids that the names of their tests tell, sorted."""
    places: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in _tests(path):
            for match in ID.findall(name):
                places.setdefault(match.upper(), set()).add(path.relative_to(ROOT / "tests").as_posix())
    return {name: sorted(files) for name, files in places.items()}


def _tests(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name


def recovery() -> dict[str, dict[str, str | float]]:
    """What was measured last, by id."""
    measured: dict[str, dict[str, str | float]] = json.loads(RECOVERY.read_text("utf-8"))
    return measured


def faults_page() -> str:
    """Write docs/reference/faults.md."""
    return HEAD + "".join(f"\n## {title}\n\n{_table(cases)}" for title, cases in groups().items())


def _table(cases: list[Case]) -> str:
    rows = ["| Case | What goes wrong | What is promised | Shown by | Recovery |", "|---|---|---|---|---|"]
    rows += [f"| {c.id} | {c.fault} | {c.promise} | {_places(c)} | {_recovery(c.id)} |" for c in cases]
    return "\n".join(rows) + "\n"


def _places(case: Case) -> str:
    files = shown().get(case.id, [])
    if not files:
        return f"*comes with {case.comes_with}*" if case.comes_with else "*not yet*"
    return ", ".join(f"[{_short(place)}](../../tests/{place})" for place in files)


def _short(place: str) -> str:
    return place.removesuffix(".py").replace("test_", "")


def _recovery(name: str) -> str:
    told = recovery().get(name)
    return f"{told['seconds']:g} s ({told['how']})" if told else ""
