"""`toque simulate`: what a trace would have cost and felt like under each policy, and how far that is from the best possible.

Law: every figure comes from the production core in virtual time; the same command gives the same figures.
"""

import argparse
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from toque.cli.demonstration import demonstrate
from toque.cli.exits import Exit
from toque.cli.parser import add_json
from toque.cli.plot import plot
from toque.cli.question import Asked, add_question, read_policies, read_question, read_workload, settle
from toque.cli.simulation_bar import SimulationBar
from toque.cli.studies import Contender, Named, read_studies
from toque.cli.study_table import show_study, tell_moment
from toque.cli.terminal import Terminal
from toque.core.scaling import POLICIES
from toque.model.errors import ConfigError
from toque.sim.assertion import Assertion, read_assertion
from toque.sim.engine import Watcher
from toque.sim.optimum import Optimum, bound_hours, cheapest, find_plan
from toque.sim.report.document import compared, document
from toque.sim.report.html import Shown, Story, render_html
from toque.sim.study import FIXED, PLAN, Row, run_fixed, run_policy
from toque.sim.survey import survey
from toque.sim.timeline import Moment, Timeline
from toque.sim.workload.synthetic import BURSTS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_question(parser)
    parser.add_argument(
        "--policy",
        metavar="P",
        action="extend",
        nargs="+",
        default=[],
        help=f"policies to compare (default: all of {', '.join(POLICIES)})".replace("%", "%%"),
    )
    parser.add_argument(
        "--target", metavar="X", type=float, default=0.0, help="target of the policies (default: their own)"
    )
    parser.add_argument(
        "--compare",
        metavar="FILE",
        action="extend",
        nargs="+",
        default=[],
        help="run the pools of several settings files, each against a plan of its own",
    )
    parser.add_argument("--price", metavar="P", type=float, help="money per replica-hour")
    parser.add_argument("--at", metavar="S", type=float, help="explain the decisions around this second of the trace")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a report with plots that opens in any browser")
    parser.add_argument(
        "--assert",
        metavar="TEXT",
        dest="assertions",
        action="extend",
        nargs="+",
        default=[],
        help="fail unless every policy shown satisfies it: 'p95_ttft<2s', 'rejected<1%%'",
    )
    add_json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Simulate, and show what came of it; fails when an assertion does."""
    if args.trace == BURSTS and _is_plain(args):
        return demonstrate(terminal)
    assertions = [read_assertion(text) for text in args.assertions]
    stories = _stories(args, terminal)
    studies = [
        document(one.trace, one.question, one.optimum, one.rows, one.price) | {"slots_from": one.slots_from}
        for one in stories
    ]
    if args.html:
        _write_page(args.html, stories, terminal)
    if args.json:
        terminal.show_json(compared(studies))
    elif not args.html:
        for content, story in zip(studies, stories, strict=True):
            _show(content, story, terminal)
    return _judge(assertions, compared(studies)["policies"], terminal)


def _is_plain(args: argparse.Namespace) -> bool:
    """Whether nothing but the trace is given: then `bursts` is told line by line, else it is traffic like any other."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return all(getattr(args, name) == default for name, default in vars(parser.parse_args([args.trace])).items())


def _stories(args: argparse.Namespace, terminal: Terminal) -> list[Story]:
    """One study, or with --compare one for each file; whatever is wrong with any is told before the first begins."""
    named = read_studies(args, terminal)
    names = [contender.policy for one in named for contender in one.contenders]
    policies, workload = read_policies(names), read_workload(args)
    questions = [
        replace(read_question(args, workload, one.settings), policies=policies, target=args.target) for one in named
    ]
    with closing(SimulationBar(terminal)) as progress:
        progress.move("reading the trace", 0.0)
        found = survey(workload)
        return [
            _story(args, one, settle(args, question, found, progress), progress)
            for one, question in zip(named, questions, strict=True)
        ]


def _story(args: argparse.Namespace, named: Named, asked: Asked, progress: SimulationBar) -> Story:
    shown = [_run(contender, asked, args.at, progress) for contender in named.contenders]
    optimum = _optimum(asked, [one.row for one in shown], progress)
    return Story(args.trace, asked.question, optimum, shown, args.price, named.title, named.slots_from)


def _show(content: Mapping[str, object], story: Story, terminal: Terminal) -> None:
    if story.name:
        terminal.show(terminal.paint(story.name, "bold", terminal.out))
    show_study(content, terminal)
    best = min(story.shown, key=lambda one: (not one.row.measures.holds, one.row.replica_hours))
    if best.timeline is not None:
        plot(best.row.policy, best.timeline.points(), story.question.profile.slots, terminal)
    for one in story.shown:
        if one.moment is not None:
            tell_moment(one.row.policy, one.moment, terminal)


def _run(contender: Contender, asked: Asked, at: float | None, progress: SimulationBar) -> Shown:
    timeline, moment = Timeline(), Moment(at if at is not None else 0.0)
    watchers: Sequence[Watcher] = (timeline, moment)
    question = replace(asked.question, progress=progress.of(contender.name, asked.survey.span_s))
    if contender.policy == FIXED and question.pool is None:
        row = run_fixed(question, asked.fixed.replicas, watchers)
    else:
        row = run_policy(question, contender.policy, watchers)
    return Shown(replace(row, policy=contender.name), timeline, moment if at is not None else None)


def _optimum(asked: Asked, rows: Sequence[Row], progress: SimulationBar) -> Optimum:
    """The plan is never dearer than what was seen to work."""
    question = replace(asked.question, progress=progress.of("the plan", asked.survey.span_s))
    plan = find_plan(question, asked.fixed)
    best = cheapest([plan, *rows]) or plan
    question = replace(question, progress=progress.of("the bound", asked.survey.span_s))
    return Optimum(replace(best, policy=PLAN), asked.fixed, bound_hours(question))


def _write_page(path: Path, stories: Sequence[Story], terminal: Terminal) -> None:
    try:
        path.write_text(render_html(*stories), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", fix="name another file with --html") from error
    terminal.say(f"written: {path}")


def _judge(assertions: Sequence[Assertion], policies: Sequence[dict[str, object]], terminal: Terminal) -> int:
    failed = 0
    for assertion in assertions:
        for figures in policies:
            if not assertion.holds(figures):
                failed += 1
                value = assertion.value(figures)
                terminal.say(
                    f"{terminal.paint('failed:', 'red', terminal.err)} {figures['policy']}: {assertion.text} "
                    f"does not hold, {assertion.name} is {value:g}"
                )
    return Exit.FAILED if failed else Exit.DONE
