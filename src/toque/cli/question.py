"""What is asked of the simulator, as flags: the traffic, the replicas, the objective. The same for `simulate` and `plan`.

Law: everything that is wrong is told before anything is simulated.
"""

import argparse
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toque.app.plugins import Plugins
from toque.cli.terminal import Terminal
from toque.config.read import read_config
from toque.core.scaling import POLICIES, PolicyTable
from toque.model.errors import ConfigError
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec, ScalingSpec
from toque.sim.arrival import Arrival
from toque.sim.cold_start import parse_cold_start
from toque.sim.objective import Objective, read_objective
from toque.sim.optimum import find_fixed
from toque.sim.profile import load_profile
from toque.sim.study import Question, Row, Sizes
from toque.sim.survey import Survey, survey
from toque.sim.workload.named import Workload, find_workload, shipped_names
from toque.sim.workload.shape import as_batch, mixed, sped_up, thinned, window

PROFILE = "llama-8b-h100"
MAXIMUM_RATIO = 4
"""Where no maximum is given: so many times the best fixed size."""


def add_question(parser: argparse.ArgumentParser, *, has_sizes: bool = True) -> None:
    """Declare the flags; those of sizes only where they are not what is searched."""
    known = ", ".join(shipped_names())
    parser.add_argument("trace", metavar="TRACE", help=f"a file, one of {known}, or a synthetic one: poisson:rate=5")
    parser.add_argument("--profile", metavar="NAME|FILE", default=PROFILE, help=f"replica model (default: {PROFILE})")
    parser.add_argument(
        "--cold-start",
        metavar="S",
        default="30",
        help="seconds, lognormal:MEDIAN,SIGMA, or measured:S,S,... (default: 30)",
    )
    parser.add_argument(
        "--slo", metavar="TEXT", default=str(Objective()), help=f"objective (default: {Objective()})".replace("%", "%%")
    )
    if has_sizes:
        _add_sizes(parser)
    parser.add_argument("--speed", metavar="X", type=float, default=1.0, help="let the trace arrive X times as fast")
    parser.add_argument("--thin", metavar="SHARE", type=float, default=1.0, help="keep this share of its requests")
    parser.add_argument("--between", metavar=("S", "S"), nargs=2, type=float, help="cut out these seconds of the trace")
    parser.add_argument("--mix", metavar="TRACE", action="append", default=[], help="further traffic beside it")
    parser.add_argument("--batch", metavar="TRACE", action="append", default=[], help="further traffic of class batch")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="seed of all chance (default: 0)")


def _add_sizes(parser: argparse.ArgumentParser) -> None:
    for name, text in (
        ("--initial", "replicas ready at the beginning (default: the best fixed size)"),
        ("--minimum", "replicas kept whatever the load (default: 1)"),
        ("--maximum", f"replicas at most (default: {MAXIMUM_RATIO} x the best fixed size)"),
    ):
        parser.add_argument(name, metavar="N", type=int, help=text)
    parser.add_argument(
        "--model", metavar="NAME", default="", help="with a settings file: the model whose pool is meant"
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, the best fixed size for it, and what its workload is like."""

    question: Question
    fixed: Row
    survey: Survey


def read_workload(args: argparse.Namespace) -> Workload:
    """Return the traffic as the flags reshape and mix it."""
    if not (args.speed > 0 and 0 < args.thin <= 1):
        raise ConfigError("--speed must be above 0, and --thin above 0 up to 1", fix="write --speed 2 or --thin 0.5")
    main, seed = find_workload(args.trace), args.seed
    extra = [find_workload(text) for text in args.mix]
    batch = [find_workload(text) for text in args.batch]

    def start() -> Iterator[Arrival]:
        arrivals = main.start()
        if args.between:
            arrivals = window(arrivals, *args.between)
        if args.thin < 1:
            arrivals = thinned(arrivals, args.thin, random.Random(seed))  # noqa: S311 - reproducible on purpose
        if args.speed != 1:
            arrivals = sped_up(arrivals, args.speed)
        if not (extra or batch):
            return arrivals
        return mixed(arrivals, *(one.start() for one in extra), *(as_batch(one.start()) for one in batch))

    return Workload(args.trace, start)


def read_question(
    args: argparse.Namespace, workload: Workload, pool: PoolSpec | None, progress: Callable[[str, float], None]
) -> Asked:
    """Read the flags and find the best fixed size. `progress` is told what runs and how much of it is done."""
    found = survey(workload)
    sizes = _given_sizes(args, pool)
    question = replace(
        read_plain_question(args, workload),
        sizes=sizes,
        pool=pool,
        progress=lambda now: progress("the best fixed size", now / max(found.span_s, 1e-9)),
    )
    fixed = find_fixed(question)
    initial = args.initial if args.initial is not None else fixed.replicas
    if pool is None:
        maximum = args.maximum or max(MAXIMUM_RATIO * fixed.replicas, args.initial or 0, sizes.minimum)
        initial = min(maximum, max(sizes.minimum, initial))
        question = question.sized(initial, sizes.minimum, maximum)
    return Asked(question, fixed, found)


def read_plain_question(args: argparse.Namespace, workload: Workload) -> Question:
    """Read all flags but those of sizes."""
    profile, cold_start = load_profile(args.profile), parse_cold_start(args.cold_start)
    return Question(workload.start, profile, cold_start, Sizes(1, 1, 1), read_objective(args.slo), seed=args.seed)


def _given_sizes(args: argparse.Namespace, pool: PoolSpec | None) -> Sizes:
    """The sizes that flags and settings give; 0 stands for those to be found."""
    minimum = args.minimum if args.minimum is not None else pool.replicas.minimum_warm if pool else 1
    maximum = args.maximum if args.maximum is not None else pool.replicas.maximum if pool else 0
    initial = args.initial if args.initial is not None else minimum if pool else 0
    highest = maximum if maximum or args.maximum is not None else max(minimum, initial, 1)
    if not (0 <= minimum <= highest and highest >= 1 and (initial == 0 or minimum <= initial <= highest)):
        raise ConfigError(
            f"the sizes contradict each other: minimum {minimum}, initial {initial or minimum}, maximum {maximum}",
            fix="keep 0 <= minimum <= initial <= maximum, and maximum at least 1",
        )
    return Sizes(initial, minimum, maximum)


def read_pool(path: str, model: str, terminal: Terminal) -> PoolSpec:
    """Return a pool from a settings file: that of `model`, or of the first one. Raises `ConfigError`."""
    models = read_config(Path(path), terminal.environment, {}).models
    named = [one.pool for one in models if not model or one.pool.name == model]
    if not named:
        known = ", ".join(one.pool.name for one in models)
        raise ConfigError(f"there is no model {model!r} in {path}", fix=f"name one of {known}")
    return named[0]


def read_policies(names: Sequence[str]) -> PolicyTable:
    """Return our policies and those named as package.module:Class. Raises `ConfigError` for what is neither."""
    for name in names:
        if name not in POLICIES and ":" not in name:
            raise ConfigError(
                f"there is no policy {name!r}", fix=f"name one of {', '.join(POLICIES)}, or package.module:Class"
            )
    pools = tuple(PoolSpec(f"pool-{name}", scaling=ScalingSpec(policy=name)) for name in names)
    return Plugins(FleetSpec(pools, Resources())).policies
