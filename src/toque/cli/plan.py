"""`toque plan`: the cheapest settings that keep an objective for the traffic of a trace, or the advice not to autoscale.

Law: what is recommended was chosen on one part of the trace and held on another.
"""

import argparse
from contextlib import closing
from dataclasses import asdict
from typing import Any

from toque.cli.exits import Exit
from toque.cli.layout import columns
from toque.cli.parser import add_json
from toque.cli.question import add_question, read_plain_question, read_settings, read_workload
from toque.cli.simulation_bar import SimulationBar
from toque.cli.terminal import Terminal
from toque.model.errors import ConfigError
from toque.sim.recommend import Candidate, Recommendation, Setting, recommend
from toque.sim.study import FIXED, Question
from toque.sim.survey import Survey, survey

PARTS_MIN = 100
"""Each part of the trace needs so many requests, or 1 % of them is nobody."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_question(parser, has_sizes=False)
    parser.add_argument(
        "--held-out",
        metavar="SHARE",
        type=float,
        default=0.5,
        help="last part of the trace, to judge by (default: 0.5)",
    )
    add_json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Search, and say what to write; fails when nothing holds."""
    if not 0 < args.held_out < 1:
        raise ConfigError("--held-out must be between 0 and 1", fix="write --held-out 0.5")
    settings = read_settings(args.config, args.model, terminal) if args.config else None
    workload = read_workload(args)
    found = survey(workload)
    question = read_plain_question(args, workload, settings)
    at_s = found.span_s * (1 - args.held_out)
    _check_parts(question, found, at_s)
    with closing(SimulationBar(terminal)) as progress:
        recommended = recommend(question, at_s, lambda title: progress.move(f"simulating {title}", 0.0))
    if args.json:
        terminal.show_json(_plain(args.trace, question, recommended))
    else:
        _show(question, recommended, terminal)
    return Exit.DONE if recommended.best else Exit.FAILED


def _check_parts(question: Question, found: Survey, at_s: float) -> None:
    before = sum(1 for arrival in question.arrivals() if arrival.at < at_s)
    if min(before, found.requests - before) < PARTS_MIN:
        raise ConfigError(
            f"one part of the trace has fewer than {PARTS_MIN} requests",
            fix="give a longer trace, or another --held-out",
        )


def _show(question: Question, recommended: Recommendation, terminal: Terminal) -> None:
    titles = ("", "POLICY", "TARGET", "MIN", "MAX", "REPLICA-H", "SLO", "HELD-OUT REPLICA-H", "HELD-OUT SLO")
    rows = [_cells(one, is_best=one is recommended.best) for one in recommended.candidates]
    for line in columns([titles, *rows]):
        terminal.show(line)
    terminal.show(f"\n{recommended.tried} settings tried; objective {question.objective}; ! misses it")
    best = recommended.best
    if best is None:
        terminal.show("Nothing that held on the first part holds on the held-out part: the traffic has changed.")
        terminal.show("Give a longer trace, or a looser objective.")
    elif best.setting.policy == FIXED:
        terminal.show(terminal.paint(f"Do not autoscale: N = {best.setting.initial}.", "bold", terminal.out))
        terminal.show("No policy tried was cheaper and held. In toque.toml:")
    else:
        terminal.show(
            terminal.paint(f"Autoscale with {best.setting.policy}{_gain(best, recommended)}.", "bold", terminal.out)
        )
        terminal.show("In toque.toml:")
    if best is not None:
        terminal.show(settings_toml(best.setting))


def _gain(best: Candidate, recommended: Recommendation) -> str:
    if recommended.fixed is None:
        return ""
    share = best.held_out.replica_hours / recommended.fixed.held_out.replica_hours
    return (
        f": on the held-out part {1 - share:.0%} cheaper than {recommended.fixed.setting.initial} replicas all the time"
    )


def settings_toml(setting: Setting) -> str:
    """Write a setting as it goes into a settings file, for the model `chat`."""
    lines = ["[models.chat.replicas]", f"minimum_warm = {setting.minimum}", f"maximum = {setting.maximum}"]
    lines += ["", "[models.chat.scaling]", f'policy = "{setting.policy}"']
    if setting.target:
        lines.append(f"target = {setting.target:.4g}")
    return "\n".join(lines)


def _cells(one: Candidate, *, is_best: bool) -> tuple[str, ...]:
    setting, chosen_on, held_out = one.setting, one.chosen_on, one.held_out
    return (
        "->" if is_best else "",
        setting.policy,
        f"{setting.target:.3g}" if setting.target else "-",
        str(setting.minimum),
        str(setting.maximum),
        f"{chosen_on.replica_hours:.2f}",
        f"{chosen_on.measures.attainment:.2%}",
        f"{held_out.replica_hours:.2f}",
        f"{held_out.measures.attainment:.2%}{'' if held_out.measures.holds else ' !'}",
    )


def _plain(trace: str, question: Question, recommended: Recommendation) -> dict[str, Any]:
    best = recommended.best
    return {
        "trace": trace,
        "slo": str(question.objective),
        "cold_start_s": question.cold_start_s,
        "tried": recommended.tried,
        "autoscale": best is not None and best.setting.policy != FIXED,
        "recommendation": None if best is None else _candidate(best),
        "candidates": [_candidate(one) for one in recommended.candidates],
    }


def _candidate(one: Candidate) -> dict[str, Any]:
    return {
        **asdict(one.setting),
        "chosen_on": {
            "replica_hours": one.chosen_on.replica_hours,
            "slo_attainment": one.chosen_on.measures.attainment,
        },
        "held_out": {
            "replica_hours": one.held_out.replica_hours,
            "slo_attainment": one.held_out.measures.attainment,
            "slo_met": one.held_out.measures.holds,
        },
    }
