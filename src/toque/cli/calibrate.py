"""`toque calibrate`: measure one model on this machine and write the profile that `toque simulate` takes.

Law: the profile says how far it is from what was measured; nothing is served meanwhile, and nothing is left running.
"""

import argparse
import asyncio
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from toque.cli.exits import Exit
from toque.cli.parser import add_config, add_json
from toque.cli.progress import Announcer, LiveBars, PlainBars
from toque.cli.terminal import Terminal
from toque.config.read import find_config, read_config
from toque.model.errors import ConfigError
from toque.model.service_spec import ServiceSpec

if TYPE_CHECKING:
    from toque.app.calibrate import Calibration
    from toque.sim.fit import Errors

SECONDS = 60.0
MODEL_FILE = ".gguf"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        default="",
        help="a model of the settings (default: the first), or a .gguf file",
    )
    add_config(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="write the profile here instead of to standard output"
    )
    parser.add_argument(
        "--seconds", metavar="S", type=_positive, default=SECONDS, help=f"how long to measure (default: {SECONDS:g})"
    )
    add_json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Measure, and show or write the profile."""
    spec, name = _settings(args, terminal)
    if args.output and (args.output.is_dir() or not args.output.parent.is_dir()):  # told before the minute, not after
        raise _unwritable(args.output, "there is no such place for a file")
    calibration = _measure(spec, name, args.seconds, terminal)
    profile = profile_toml(calibration)
    if args.output:
        _write(args.output, profile)
        terminal.say(f"written: {args.output}; use it with `toque simulate TRACE --profile {args.output}`")
    if args.json:
        terminal.show_json(_plain(calibration))
    elif args.output:
        terminal.show(_told(calibration))
    else:
        terminal.show(profile, end="")
    return Exit.DONE


def profile_toml(calibration: "Calibration") -> str:
    """Write a profile as `toque simulate --profile` reads it; what it is worth stands in its comments."""
    comments = "".join(f"# {line}\n" for line in _told(calibration).splitlines())
    return comments + "".join(f"{name} = {_literal(content)}\n" for name, content in _parameters(calibration).items())


def _settings(args: argparse.Namespace, terminal: Terminal) -> tuple[ServiceSpec, str]:
    """Read the settings. A model file alone is served as `toque up` would."""
    flags = {"SOURCE": args.model} if args.model.endswith(MODEL_FILE) else {}
    path = None if flags and not args.config else find_config(args.config, terminal.environment)
    spec = read_config(path, terminal.environment, flags)
    return spec, spec.models[0].pool.name if flags or not args.model else args.model


def _measure(spec: ServiceSpec, name: str, seconds: float, terminal: Terminal) -> "Calibration":
    from toque.app.calibrate import calibrate  # noqa: PLC0415  # a mistake is told before the heavy imports

    title = f"measuring {name}"
    with Announcer(spec, terminal) as announce:
        bars = LiveBars(terminal) if terminal.is_lively(terminal.err) else PlainBars(terminal)
        try:
            return asyncio.run(calibrate(spec, name, seconds, announce, lambda ratio: bars.move(title, ratio)))
        finally:
            bars.end(title)


def _told(calibration: "Calibration") -> str:
    fit = calibration.fit
    return "\n".join(
        (
            f"{calibration.model}, {fit.profile.slots} slots: fitted to {fit.fitted} requests, judged by {fit.held_out} others",
            f"error of TTFT: {_share(fit.ttft)}",
            f"error of service time: {_share(fit.service)}",
            f"cold start as measured: {calibration.cold_start_s:.2f} s (--cold-start)",
        )
    )


def _share(errors: "Errors") -> str:
    return f"median {errors.median:.0%}, p90 {errors.p90:.0%}"


def _parameters(calibration: "Calibration") -> dict[str, str | int | float]:
    profile = calibration.fit.profile
    return {
        "model": "slots",
        "slots": profile.slots,
        "base_s": _rounded(profile.base_s),
        "prefill_token_s": _rounded(profile.prefill_token_s),
        "decode_token_s": _rounded(profile.decode_token_s),
        "decode_token_s_per_busy_slot": _rounded(profile.decode_token_s_per_busy_slot),
        "prefill": profile.prefill.value,
    }


def _plain(calibration: "Calibration") -> dict[str, object]:
    fit = calibration.fit
    return {
        "profile": _parameters(calibration),
        "cold_start_s": _rounded(calibration.cold_start_s),
        "error": {
            "ttft": {"median": _rounded(fit.ttft.median), "p90": _rounded(fit.ttft.p90)},
            "service": {"median": _rounded(fit.service.median), "p90": _rounded(fit.service.p90)},
        },
        "requests": {"fitted": fit.fitted, "held_out": fit.held_out},
    }


def _rounded(number: float) -> float:
    return float(f"{number:.4g}")


def _literal(content: str | float) -> str:
    return f'"{content}"' if isinstance(content, str) else f"{content}"


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise _unwritable(path, str(error.strerror)) from error


def _unwritable(path: Path, reason: str) -> ConfigError:
    return ConfigError(f"cannot write {path}: {reason}", where="--output", fix="name a file that can be written")


def _positive(text: str) -> float:
    with suppress(ValueError):
        if 0 < (seconds := float(text)) < inf:
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
