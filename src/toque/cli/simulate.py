"""`toque simulate`: what a trace would have cost and felt like under each policy, and how far that is from the best possible.

Law: every figure comes from the production core in virtual time; the same command gives the same figures.
"""

import argparse
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from toque.cli.backlog import add_backlog, read_job, show_valleys
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
from toque.sim.backlog import Job
from toque.sim.engine import Watcher
from toque.sim.optimum import Optimum, bound_hours, cheapest, find_plan
from toque.sim.report.document import compared, document
from toque.sim.report.html import Shown, Story, render_html
from toque.sim.study import FIXED, PLAN, Question, Row, run_fixed, run_policy
from toque.sim.survey import survey
from toque.sim.timeline import Moment, Timeline
from toque.sim.valley import Valley, compare, valley_figures
from toque.sim.workload.synthetic import BURSTS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_question(parser)
    add_backlog(parser)
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
    studies = [_document(one) for one in stories]
    if args.html:
        _write_page(args.html, stories, terminal)
    if args.json:
        terminal.show_json(compared(studies))
    else:
        for content, story in zip(studies, stories, strict=True):
            _show(content, story, terminal, is_brief=bool(args.html))
    return _judge(assertions, compared(studies)["policies"], terminal)


def _document(story: Story) -> dict[str, Any]:
    content = document(story.trace, story.question, story.optimum, story.rows, story.price)
    valleys = {"valleys": [valley_figures(one) for one in story.valleys]} if story.valleys else {}
    return {**content, "slots_from": story.slots_from, **valleys}


def _is_plain(args: argparse.Namespace) -> bool:
    """Whether nothing but the trace is given: then `bursts` is told line by line, else it is traffic like any other."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return all(getattr(args, name) == default for name, default in vars(parser.parse_args([args.trace])).items())


def _stories(args: argparse.Namespace, terminal: Terminal) -> list[Story]:
    """One study, or with --compare one for each file; whatever is wrong with any is told before the first begins."""
    named = read_studies(args, terminal)
    names = [contender.policy for one in named for contender in one.contenders]
    policies, workload, job = read_policies(names), read_workload(args), read_job(args)
    questions = [
        replace(read_question(args, workload, one.settings), policies=policies, target=args.target) for one in named
    ]
    with closing(SimulationBar(terminal)) as progress:
        progress.move("reading the trace", 0.0)
        found = survey(workload)
        return [
            _story(args, one, settle(args, question, found, progress), job, progress)
            for one, question in zip(named, questions, strict=True)
        ]


def _story(args: argparse.Namespace, named: Named, asked: Asked, job: Job, progress: SimulationBar) -> Story:
    shown = [_run(contender, asked, args.at, progress) for contender in named.contenders]
    optimum = _optimum(asked, [one.row for one in shown], progress)
    pairs = zip(named.contenders, shown, strict=True) if job.items else ()
    valleys = [_valley(contender, one.row, asked, job, progress) for contender, one in pairs]
    return Story(args.trace, asked.question, optimum, shown, args.price, named.title, named.slots_from, valleys)


def _show(content: Mapping[str, Any], story: Story, terminal: Terminal, *, is_brief: bool) -> None:
    """Print a study, or of one that went into a page only what pages do not have: the valleys."""
    if story.name and (story.valleys or not is_brief):
        terminal.show(terminal.paint(story.name, "bold", terminal.out))
    if not is_brief:
        _show_policies(content, story, terminal)
    if story.valleys:
        show_valleys(content["valleys"], terminal)


def _show_policies(content: Mapping[str, Any], story: Story, terminal: Terminal) -> None:
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
    row = _row(contender, question, asked.fixed.replicas, watchers)
    return Shown(row, timeline, moment if at is not None else None)


def _valley(contender: Contender, alone: Row, asked: Asked, job: Job, progress: SimulationBar) -> Valley:
    told = progress.of(f"{contender.name} with the job", asked.survey.span_s)
    question = replace(asked.question, progress=told, job=job)
    return compare(question, alone, _row(contender, question, asked.fixed.replicas))


def _row(contender: Contender, question: Question, fixed: int, watchers: Sequence[Watcher] = ()) -> Row:
    if contender.policy == FIXED and question.pool is None:
        row = run_fixed(question, fixed, watchers)
    else:
        row = run_policy(question, contender.policy, watchers)
    return replace(row, policy=contender.name)


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
