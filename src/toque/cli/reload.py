"""`toque reload`: have the running service read its settings anew, and show what changes.

Law: it names no file: the service reads what it was started with, or keeps what it has.
"""

import argparse
import json
from collections.abc import Sequence
from typing import cast

from toque.cli.admin import add_admin, admin_service
from toque.cli.call import ANSWER_BYTES_MAX
from toque.cli.exits import Exit
from toque.cli.parser import add_json
from toque.cli.progress import tell_reload
from toque.cli.terminal import Terminal
from toque.model.announcement import Reloaded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--dry-run", action="store_true", help="only say what would change")
    add_admin(parser)
    add_json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Reload, and print the difference."""
    service = admin_service(args.admin, terminal.environment)
    path = f"/admin/v1/reload?dry_run={int(args.dry_run)}"
    with service.ask("POST", path) as answer:
        told = json.loads(answer.read(ANSWER_BYTES_MAX))
    if args.json:
        terminal.show_json(told)
        return Exit.DONE
    lines = [tuple(cast(Sequence[str], told[part])) for part in ("changes", "consequences")]
    tell_reload(Reloaded(lines[0], lines[1], bool(told["is_dry_run"])), terminal.show)
    return Exit.DONE
