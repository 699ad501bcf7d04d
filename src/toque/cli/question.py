"""What is asked of the simulator, as flags: the traffic, the replicas, the objective. The same for `simulate` and `plan`.

Law: everything that is wrong is told before anything is simulated.
"""

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toque.app.plugins import Plugins
from toque.app.remembered import remembered_start
from toque.cli.simulation_bar import SimulationBar
from toque.cli.terminal import Terminal
from toque.config.layers import ASSUMED, DEFAULT
from toque.config.read import read_config
from toque.core.scaling import POLICIES, PolicyTable
from toque.model.errors import ConfigError
from toque.model.resources import Resources
from toque.model.service_spec import ServiceSpec
from toque.model.spec import FleetSpec, PoolSpec, ScalingSpec
from toque.sim.arrival import Arrival
from toque.sim.cold_start import Draw, constant, parse_cold_start
from toque.sim.objective import Objective, read_objective
from toque.sim.optimum import find_fixed
from toque.sim.profile import load_profile, with_slots
from toque.sim.study import Question, Row, Sizes
from toque.sim.survey import Survey
from toque.sim.workload.glance import glance
from toque.sim.workload.named import Workload, file_of, find_workload, shipped_names
from toque.sim.workload.shape import as_batch, mixed, sped_up, thinned, window
from toque.sim.workload.trace import tells_models

PROFILE = "llama-8b-h100"
MEASURED = "measured"
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
        help="seconds, lognormal:MEDIAN,SIGMA, measured:S,S,..., or measured: what toque measured of the model of --config "
        "here (default: 30)",
    )
    parser.add_argument(
        "--slo", metavar="TEXT", default=str(Objective()), help=f"objective (default: {Objective()})".replace("%", "%%")
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        default="",
        help="a settings file: its pool, its slots, what was measured of its model",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        default="",
        help="of a settings file, and of a trace that tells models apart: this one only",
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


@dataclass(frozen=True, slots=True)
class Settings:
    """What a settings file says of one model. `has_slots`: it says how many a replica has."""

    path: str
    spec: ServiceSpec
    pool: PoolSpec
    has_slots: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, the best fixed size for it, and what its workload is like."""

    question: Question
    fixed: Row
    survey: Survey


def read_workload(args: argparse.Namespace) -> Workload:
    """Return the traffic as the flags choose, reshape and mix it; a row that is plainly wrong is told at once."""
    if not (args.speed > 0 and 0 < args.thin <= 1):
        raise ConfigError("--speed must be above 0, and --thin above 0 up to 1", fix="write --speed 2 or --thin 0.5")
    extra = [find_workload(text) for text in args.mix]
    batch = [find_workload(text) for text in args.batch]
    main, seed = find_workload(args.trace, _model_of_trace(args)), args.seed
    for path in filter(None, map(file_of, (args.trace, *args.mix, *args.batch))):
        glance(path)

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


def _model_of_trace(args: argparse.Namespace) -> str:
    """The model whose requests are meant; none where the trace tells no models apart and a settings file has the name."""
    path = file_of(args.trace)
    if not args.model or (path is not None and tells_models(path)):
        return str(args.model)
    if not (args.config or getattr(args, "compare", [])):
        raise ConfigError(
            f"{args.trace} does not tell models apart, so --model chooses nothing",
            fix="leave it away, or name a settings file with --config",
        )
    return ""


def read_question(args: argparse.Namespace, workload: Workload, settings: Settings | None) -> Question:
    """Read the flags; sizes of 0 are still to be found."""
    pool = settings.pool if settings else None
    return replace(read_plain_question(args, workload, settings), sizes=_given_sizes(args, pool), pool=pool)


def settle(args: argparse.Namespace, question: Question, found: Survey, progress: SimulationBar) -> Asked:
    """Find the best fixed size, and the sizes that follow from it."""
    question = replace(question, progress=progress.of("the best fixed size", found.span_s))
    fixed, sizes = find_fixed(question), question.sizes
    initial = args.initial if args.initial is not None else fixed.replicas
    if question.pool is None:
        maximum = args.maximum or max(MAXIMUM_RATIO * fixed.replicas, args.initial or 0, sizes.minimum)
        initial = min(maximum, max(sizes.minimum, initial))
        question = question.sized(initial, sizes.minimum, maximum)
    return Asked(question, fixed, found)


def read_plain_question(args: argparse.Namespace, workload: Workload, settings: Settings | None) -> Question:
    """Read all flags but those of sizes. Slots are those of the settings where they say so, else those of the profile."""
    profile = load_profile(args.profile)
    if settings is not None and settings.has_slots:
        profile = with_slots(profile, settings.pool.slots)
    cold_start = _read_cold_start(args.cold_start, settings)
    return Question(workload.start, profile, cold_start, Sizes(1, 1, 1), read_objective(args.slo), seed=args.seed)


def _read_cold_start(text: str, settings: Settings | None) -> Draw:
    if text != MEASURED:
        return parse_cold_start(text)
    if settings is None:
        fix = "add --config FILE, or give the seconds"
        raise ConfigError("which model's measured start is meant?", where="--cold-start", fix=fix)
    known = remembered_start(settings.spec, settings.pool.name)
    if known is None:
        text = f"no start of {settings.pool.name!r} was measured on this machine, as {settings.path} sets it now"
        raise ConfigError(text, where="--cold-start", fix="start it once with toque up, or give the seconds")
    return constant(known.cold_start.total_s)


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


def read_settings(path: str, model: str, terminal: Terminal) -> Settings:
    """Return what a settings file says of `model`, or of its first one. Raises `ConfigError`."""
    spec = read_config(Path(path), terminal.environment, {})
    named = [one.pool for one in spec.models if not model or one.pool.name == model]
    if not named:
        known = ", ".join(one.pool.name for one in spec.models)
        raise ConfigError(f"there is no model {model!r} in {path}", fix=f"name one of {known}")
    origin = spec.origins.get(f"models.{named[0].name}.slots", DEFAULT)
    return Settings(path, spec, named[0], origin not in {DEFAULT, ASSUMED})


def read_policies(names: Sequence[str]) -> PolicyTable:
    """Return our policies and those named as package.module:Class. Raises `ConfigError` for what is neither."""
    for name in names:
        if name not in POLICIES and ":" not in name:
            raise ConfigError(
                f"there is no policy {name!r}", fix=f"name one of {', '.join(POLICIES)}, or package.module:Class"
            )
    pools = tuple(PoolSpec(f"pool-{name}", scaling=ScalingSpec(policy=name)) for name in names)
    return Plugins(FleetSpec(pools, Resources())).policies
