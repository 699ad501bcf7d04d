"""The repository as the tidiness tests see it: tracked files, parsed modules, and the list of excused findings.

Law: an exception names its finding and its reason, and goes when the finding goes; the list only shrinks.
"""

import ast
import subprocess
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
EXCEPTIONS = ROOT / "tests" / "house" / "exceptions.toml"
Function = ast.FunctionDef | ast.AsyncFunctionDef
T = TypeVar("T", bound=ast.AST)


@dataclass(frozen=True)
class Module:
    """One Python file: its dotted name (`tests.core.test_queue` outside src), its text and its syntax tree."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def place(self) -> str:
        """Where it lies, from the root."""
        return self.path.relative_to(ROOT).as_posix()

    def nodes(self, kind: type[T]) -> Iterator[T]:
        """Every node of a kind, in no order that matters."""
        return (node for node in ast.walk(self.tree) if isinstance(node, kind))


@cache
def tracked() -> tuple[Path, ...]:
    """Every file of the repository, also the ones not committed yet; ignored ones are not ours to judge."""
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    files = (ROOT / name for name in sorted(set(listing.stdout.split("\0"))) if name)
    return tuple(path for path in files if path.is_file())


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    """The Python files below the folders, parsed once."""
    roots = tuple(ROOT / folder for folder in folders)
    return tuple(
        _parse(path) for path in tracked() if path.suffix == ".py" and path.is_relative_to(ROOT) and _below(path, roots)
    )


def _below(path: Path, roots: Iterable[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)


@cache
def _parse(path: Path) -> Module:
    base = SOURCE if path.is_relative_to(SOURCE) else ROOT
    parts = path.relative_to(base).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    text = path.read_text("utf-8")
    return Module(name, path, text, ast.parse(text, str(path)))


def imports(module: Module) -> Iterator[str]:
    """Dotted names of what a module imports; `from a import b` counts as both `a` and `a.b`."""
    for statement in module.nodes(ast.Import):
        yield from (alias.name for alias in statement.names)
    for statement in module.nodes(ast.ImportFrom):
        yield statement.module or ""
        yield from (f"{statement.module}.{alias.name}" for alias in statement.names)


def dotted(node: ast.expr) -> str:
    """`a.b.c` as it is written, or nothing for any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value)):
        return f"{owner}.{node.attr}"
    return ""


@cache
def _excused() -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads(EXCEPTIONS.read_text("utf-8"))


def hold(rule: str, found: Iterable[str]) -> None:
    """Fail on findings that are not excused, and on excuses without a finding."""
    findings, excused = set(found), set(_excused().get(rule, {}))
    assert not findings - excused, f"{rule}: " + "; ".join(sorted(findings - excused))
    assert not excused - findings, f"{rule}: no longer needed in {EXCEPTIONS.name}: " + "; ".join(
        sorted(excused - findings)
    )
