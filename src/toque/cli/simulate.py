"""`toque simulate`: what a trace would have cost and felt like under each policy, and how far that is from the best possible.

Law: every figure comes from the production core in virtual time; the same command gives the same figures.
"""

import argparse
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from toque.cli.demonstration import demonstrate
from toque.cli.exits import Exit
from toque.cli.parser import add_json
from toque.cli.plot import plot
from toque.cli.question import Asked, add_question, read_policies, read_pool, read_question, read_workload
from toque.cli.simulation_bar import SimulationBar
from toque.cli.study_table import show_study, tell_moment
from toque.cli.terminal import Terminal
from toque.core.scaling import POLICIES
from toque.model.errors import ConfigError
from toque.model.spec import PoolSpec
from toque.sim.assertion import Assertion, read_assertion
from toque.sim.engine import Watcher
from toque.sim.optimum import Optimum, bound_hours, cheapest, find_plan
from toque.sim.report.document import document
from toque.sim.report.html import Shown, Story, render_html
from toque.sim.study import FIXED, PLAN, Question, Row, run_fixed, run_policy
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
    parser.add_argument("--config", metavar="FILE", default="", help="run in the pool of this settings file")
    parser.add_argument(
        "--compare",
        metavar="FILE",
        action="extend",
        nargs="+",
        default=[],
        help="run the pools of several settings files",
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
    if args.trace == BURSTS and not (args.policy or args.json or args.html):
        return demonstrate(terminal)
    assertions = [read_assertion(text) for text in args.assertions]
    story = _study(args, terminal)
    content = document(story.trace, story.question, story.optimum, story.rows, story.price)
    if args.html:
        _write_page(args.html, story, terminal)
    if args.json:
        terminal.show_json(content)
    elif not args.html:
        _show(content, story, terminal)
    return _judge(assertions, content["policies"], terminal)


def _study(args: argparse.Namespace, terminal: Terminal) -> Story:
    policies, contenders = read_policies(args.policy), _contenders(args, terminal)
    workload = read_workload(args)
    with closing(SimulationBar(terminal)) as progress:
        asked = read_question(args, workload, contenders[0].pool, progress.move)
        question = replace(asked.question, policies=policies, target=args.target)
        shown = [_run(contender, question, asked, args.at, progress) for contender in contenders]
        optimum = _optimum(question, asked, [one.row for one in shown], progress)
    return Story(workload.name, question, optimum, shown, args.price)


def _show(content: Mapping[str, object], story: Story, terminal: Terminal) -> None:
    show_study(content, terminal)
    best = min(story.shown, key=lambda one: (not one.row.measures.holds, one.row.replica_hours))
    if best.timeline is not None:
        plot(best.row.policy, best.timeline.points(), story.question.profile.slots, terminal)
    for one in story.shown:
        if one.moment is not None:
            tell_moment(one.row.policy, one.moment, terminal)


@dataclass(frozen=True, slots=True)
class _Contender:
    """A policy to run, under a name of its own; `pool` None: in the neutral pool."""

    name: str
    policy: str
    pool: PoolSpec | None = None


def _contenders(args: argparse.Namespace, terminal: Terminal) -> list[_Contender]:
    """1. settings files to compare: each with its own policy; 2. one file: its policy, or those named in its pool;
    3. none: those named, or all."""
    if args.compare:  # 1
        if args.config or args.policy:
            raise ConfigError("--compare takes policies from its files", fix="leave --config and --policy away")
        pools = [(Path(path).stem, read_pool(path, args.model, terminal)) for path in args.compare]
        return [_Contender(name, pool.scaling.policy, pool) for name, pool in pools]
    if args.config:  # 2
        pool = read_pool(args.config, args.model, terminal)
        return [_Contender(name, name, pool) for name in args.policy or [pool.scaling.policy]]
    names = args.policy or [name for name in POLICIES if name != FIXED]
    return [_Contender(name, name) for name in names]  # 3


def _run(contender: _Contender, question: Question, asked: Asked, at: float | None, progress: SimulationBar) -> Shown:
    timeline, moment = Timeline(), Moment(at if at is not None else 0.0)
    watchers: Sequence[Watcher] = (timeline, moment)
    question = replace(question, pool=contender.pool, progress=progress.of(contender.name, asked.survey.span_s))
    if contender.pool is not None and contender.pool is not asked.question.pool:
        bounds = contender.pool.replicas
        question = question.sized(bounds.minimum_warm, bounds.minimum_warm, bounds.maximum)
    if contender.policy == FIXED and contender.pool is None:
        row = run_fixed(question, asked.fixed.replicas, watchers)
    else:
        row = run_policy(question, contender.policy, watchers)
    return Shown(replace(row, policy=contender.name), timeline, moment if at is not None else None)


def _optimum(question: Question, asked: Asked, rows: Sequence[Row], progress: SimulationBar) -> Optimum:
    """The plan is never dearer than what was seen to work."""
    question = replace(question, progress=progress.of(PLAN, asked.survey.span_s))
    plan = find_plan(question, asked.fixed)
    best = cheapest([plan, *rows]) or plan
    return Optimum(replace(best, policy=PLAN), asked.fixed, bound_hours(question))


def _write_page(path: Path, story: Story, terminal: Terminal) -> None:
    try:
        path.write_text(render_html(story), encoding="utf-8")
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
