"""`toque run`: a file of requests through a model, without a server.

Law: whatever stops it, the same command line goes on where it was.
"""

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from toque.cli.exits import Exit
from toque.cli.parser import add_config, add_json
from toque.cli.progress import Announcer, LiveBars, PlainBars
from toque.cli.terminal import Terminal
from toque.config.read import find_config, read_config
from toque.model.errors import ConfigError

if TYPE_CHECKING:
    from toque.model.batch import Batch

MODEL_FILE = ".gguf"
CHAT = "/v1/chat/completions"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("input", metavar="INPUT", type=Path, help="JSONL: lines of a batch, or request bodies alone")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help="where the answers go")
    parser.add_argument(
        "--model", metavar="M", default="", help="a model of the settings, or a .gguf file, for every request"
    )
    parser.add_argument("--endpoint", metavar="PATH", default=CHAT, help=f"what the requests are for (default: {CHAT})")
    add_config(parser)
    add_json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Run the file, and say what came of it."""
    if not args.output.parent.is_dir():
        raise ConfigError(f"there is no folder {args.output.parent}", fix="make it, or name another output")
    flags = {"SOURCE": args.model} if args.model.endswith(MODEL_FILE) else {}
    path = None if flags and not args.config else find_config(args.config, terminal.environment)
    spec = read_config(path, terminal.environment, flags)
    from toque.app.offline import OfflineRun, run_offline  # noqa: PLC0415 - mistakes are told before heavy imports

    order = OfflineRun(args.input, args.output, args.endpoint, spec.models[0].pool.name if flags else args.model)
    with Announcer(spec, terminal) as announce:
        bars = LiveBars(terminal) if terminal.is_lively(terminal.err) else PlainBars(terminal)
        try:
            batch = asyncio.run(run_offline(spec, order, announce, lambda batch: _move(bars, order.source.name, batch)))
        finally:
            bars.end(order.source.name)
    return _tell(batch, order.output, order.errors, args, terminal)


def _move(bars: LiveBars | PlainBars, name: str, batch: "Batch") -> None:
    if batch.total:
        bars.move(name, min(0.99, (batch.completed + batch.failed) / batch.total))


def _tell(batch: "Batch", output: Path, errors: Path, args: argparse.Namespace, terminal: Terminal) -> int:
    if args.json:
        terminal.show_json(
            {
                "status": batch.status.value,
                "completed": batch.completed,
                "failed": batch.failed,
                "errors": [
                    {"line": error.line, "code": error.code, "message": error.message} for error in batch.errors
                ],
            }
        )
    for error in batch.errors:
        terminal.say(terminal.harmless(f"line {error.line}: {error.code}: {error.message}"))
    if batch.completed:
        terminal.say(f"{batch.completed} answered: {output}")
    if batch.failed:
        terminal.say(f"{batch.failed} failed: {errors}")
    return Exit.FAILED if batch.failed or batch.errors else Exit.DONE
