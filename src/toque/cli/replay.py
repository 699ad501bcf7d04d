"""`toque replay`: feed a journal's events to a fresh core and see that the same decisions come out.

Law: it proves or disproves; the first difference is shown with what was recorded and what came now.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from toque.app.plugins import Plugins
from toque.cli.exits import Exit
from toque.cli.layout import count
from toque.cli.parser import add_json
from toque.cli.terminal import Terminal
from toque.model.messages import SpecChanged
from toque.records.journal import JournalReader, Step
from toque.sim.replay import Difference, Replay, replay


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("journal", metavar="JOURNAL", type=Path, help="file that `toque up --record-journal` wrote")
    add_json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Replay a journal; fails when a decision differs."""
    with JournalReader(args.journal) as journal:
        spec, born = journal.header.spec, journal.header.born
        plugins = Plugins(spec)
        outcome = replay(spec, born, _steps(journal, plugins), plugins.policies, plugins.routers)
    if args.json:
        terminal.show_json(_plain(outcome))
    elif outcome.difference is None:
        terminal.show(f"the same: {count(outcome.steps, 'step')}, {count(outcome.effects, 'effect')}")
    else:
        _show_difference(outcome.difference, born, terminal)
    return Exit.DONE if outcome.difference is None else Exit.FAILED


def _steps(journal: JournalReader, plugins: Plugins) -> Iterator[Step]:
    """Yield every step; before a reload, load what its settings name."""
    for step in journal.steps():
        if isinstance(step[1], SpecChanged):
            plugins.load(step[1].spec)
        yield step


def _show_difference(difference: Difference, born: float, terminal: Terminal) -> None:
    terminal.show(f"different at step {difference.index + 1}, {difference.now - born:.3f} s after the start")
    terminal.show(f"  event:    {difference.event}")
    for title, effects in (("recorded", difference.recorded), ("now", difference.replayed)):
        told = [str(effect) for effect in effects] or ["nothing"]
        terminal.show(f"  {title + ':':<9} {told[0]}")
        for effect in told[1:]:
            terminal.show(f"            {effect}")
    terminal.say("A journal replays the same only on the code that wrote it, unless a change was meant.")


def _plain(outcome: Replay) -> dict[str, object]:
    difference = outcome.difference
    return {
        "steps": outcome.steps,
        "effects": outcome.effects,
        "same": difference is None,
        "difference": None
        if difference is None
        else {
            "step": difference.index + 1,
            "now": difference.now,
            "event": str(difference.event),
            "recorded": [str(effect) for effect in difference.recorded],
            "replayed": [str(effect) for effect in difference.replayed],
        },
    }
