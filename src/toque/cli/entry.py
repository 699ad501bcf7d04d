"""`main`: from a command line to an exit status.

Law: an error of a person's or the world's is told in a few lines with its place and a way out; a traceback is shown only
with --debug.
"""

import os
import sys
import traceback
from argparse import Namespace
from collections.abc import Sequence

from toque.cli.exits import Exit, NotRunningError
from toque.cli.parser import load_verb, make_parsers, parse
from toque.cli.terminal import Terminal
from toque.model.errors import ConfigError, InternalError, ToqueError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command on this process's streams and environment, and return its exit status."""
    terminal = Terminal(sys.stdin, sys.stdout, sys.stderr, os.environ)
    return run(sys.argv[1:] if argv is None else argv, terminal)


def run(argv: Sequence[str], terminal: Terminal) -> int:
    """Run one command on a terminal; without a verb, print the help. Exits (as argparse does) for wrong usage."""
    args = parse(["version"] if list(argv) == ["--version"] else argv)
    try:
        return _perform(args, terminal)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        _forget_output()
        return Exit.PIPE_CLOSED
    except ToqueError as error:
        tell(error, terminal)
        return _ending(error, terminal, is_debug=args.debug)
    except Exception as error:  # the last line of defence: whatever it is, a person reads one sentence
        tell(InternalError(f"toque itself failed ({type(error).__name__})."), terminal)
        return _ending(error, terminal, is_debug=args.debug)


def _perform(args: Namespace, terminal: Terminal) -> int:
    if args.verb is not None:
        return load_verb(args.verb).run(args, terminal)
    terminal.show(make_parsers(())[0].format_help())
    return Exit.DONE


def tell(error: ToqueError, terminal: Terminal) -> None:
    """Say what is wrong, where it stands, and what to do."""
    terminal.say(f"{terminal.paint('error:', 'red', terminal.err)} {error.message}")
    if isinstance(error, ConfigError):
        if error.where:
            terminal.say(f"   at: {error.where}")
        if error.fix:
            terminal.say(f"  fix: {error.fix}")


def _ending(error: Exception, terminal: Terminal, *, is_debug: bool) -> int:
    status = _status(error)
    if is_debug:
        traceback.print_exception(error, file=terminal.err)
    elif status == Exit.BUG:
        terminal.say("  fix: run it again with --debug and report what it prints")
    return status


def _status(error: Exception) -> Exit:
    match error:
        case NotRunningError():
            return Exit.NOT_RUNNING
        case ConfigError():
            return Exit.USAGE
        case InternalError():
            return Exit.BUG
        case ToqueError():
            return Exit.FAILED
        case _:
            return Exit.BUG


def _forget_output() -> None:
    """Keep the interpreter from complaining about the closed pipe when it flushes standard output at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
