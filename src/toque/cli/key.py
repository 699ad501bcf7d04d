"""`toque key create`: an API key, shown once, and the lines that let it in.

Law: the key goes to standard output and nowhere else; the configuration gets its digest only.
"""

import argparse
import hashlib
import json
import re
import secrets

from toque.cli.exits import Exit
from toque.cli.parser import add_json
from toque.cli.terminal import Terminal
from toque.model.errors import ConfigError

KEY_PREFIX = "tq_live_"
KEY_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9._:/@-]{1,128}", re.ASCII)
_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("action", choices=("create",), help="print a new key once, and the lines for toque.toml")
    parser.add_argument("name", metavar="NAME", help="whose key it is; logs and metrics name it")
    parser.add_argument(
        "--model", metavar="M", action="append", default=[], help="a model it may use (repeat; none: all of them)"
    )
    add_json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Make a key and tell how to let it in."""
    if not _NAME.fullmatch(args.name):
        raise ConfigError(
            f"{args.name!r} cannot be the name of a key", fix="use 1 to 128 of: letters, digits, and . _ : / @ -"
        )
    key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    digest = hashlib.sha256(key.encode("ascii")).hexdigest()
    table = _table(args.name, digest, args.model)
    if args.json:
        terminal.show_json({"name": args.name, "key": key, "sha256": digest, "toml": table})
        return Exit.DONE
    terminal.say("The key, shown this once (clients send it as `Authorization: Bearer KEY`):")
    terminal.show(key)
    terminal.say(f"\nPaste into toque.toml; it holds the digest only:\n\n{table}")
    return Exit.DONE


def _table(name: str, digest: str, models: list[str]) -> str:
    header = name if _BARE.fullmatch(name) else json.dumps(name)
    allowed = f"models = {json.dumps(models)}\n" if models else ""
    return f'[keys.{header}]\nsha256 = "{digest}"\n{allowed}'
