"""`toque config show`: the settings in force, and where each came from.

Law: what it prints is TOML that gives the same settings again; secrets stand there as references, as they do in files.
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence

from toque.cli.exits import Exit
from toque.cli.layout import columns
from toque.cli.parser import add_config, add_json
from toque.cli.terminal import Terminal
from toque.config.read import find_config, read_config
from toque.config.show import shown
from toque.model.service_spec import ServiceSpec

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("action", choices=("show",), help="print every setting in force")
    parser.add_argument("--origin", action="store_true", help="also say where each value came from")
    add_config(parser)
    add_json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Print the settings."""
    spec = read_config(find_config(args.config, terminal.environment), terminal.environment, {})
    lines = shown(spec)
    if args.json:
        terminal.show_json({line.name: {"value": line.value, "origin": line.origin} for line in lines})
        return Exit.DONE
    rows = [(f"{_toml_name(line.name, spec)} = {_toml(line.value)}", f"# {line.origin}") for line in lines]
    for text in columns(rows if args.origin else [row[:1] for row in rows]):
        terminal.show(text)
    return Exit.DONE


def _toml_name(name: str, spec: ServiceSpec) -> str:
    """Quote the name of a model or key inside a dotted name where TOML wants it."""
    own = [("models", model.pool.name) for model in spec.models] + [("keys", key.name) for key in spec.keys]
    for table, word in sorted(own, key=lambda pair: -len(pair[1])):
        if name.startswith(f"{table}.{word}.") and not _BARE.fullmatch(word):
            return f"{table}.{json.dumps(word)}{name.removeprefix(f'{table}.{word}')}"
    return name


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(name)} = {_toml(inner)}" for name, inner in value.items()) + " }"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
