"""`toque version`: which toque, Python and engine these are.

Law: nothing is imported for it; versions are read from what is installed.
"""

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version

from toque import __version__
from toque.cli.exits import Exit
from toque.cli.parser import add_json
from toque.cli.terminal import Terminal

ENGINE = "xllamacpp"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Print the versions."""
    versions = {"toque": __version__, "python": platform.python_version(), ENGINE: _engine_version()}
    if args.json:
        terminal.show_json(versions)
    else:
        terminal.show(" ".join(f"{name} {text}" for name, text in versions.items()))
    return Exit.DONE


def _engine_version() -> str:
    try:
        return version(ENGINE)
    except PackageNotFoundError:
        return "not installed"
