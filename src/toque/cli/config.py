"""`toque config show`: the settings in force, and where each came from.

Law: what it prints is TOML that gives the same settings again; secrets stand there as references, as they do in files.
"""

import argparse

from toque.cli.exits import Exit
from toque.cli.layout import columns
from toque.cli.parser import add_config, add_json
from toque.cli.terminal import Terminal
from toque.config.read import find_config, read_config
from toque.config.show import as_toml, shown


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
    rows = [(as_toml(line, spec), f"# {line.origin}") for line in lines]
    for text in columns(rows if args.origin else [row[:1] for row in rows]):
        terminal.show(text)
    return Exit.DONE
