"""`toque image build`: a model with its engine and server, or toque itself, as a container image.

Law: the digest goes to standard output; the same settings, weights and version give the same one on another machine.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from toque.cli.exits import Exit
from toque.cli.parser import add_config, add_json
from toque.cli.terminal import Terminal
from toque.config.layers import DEFAULT
from toque.config.read import find_config, read_config
from toque.config.show import Shown, as_toml, shown
from toque.images.order import (
    DEBIAN,
    EPOCH_S,
    GLIBC_MINOR_COMMON,
    PORT,
    Base,
    ImageOrder,
    Weights,
)
from toque.model.agent_spec import ModelSpec
from toque.model.errors import ConfigError
from toque.model.service_spec import ServiceSpec
from toque.ports import MODELS_DIR

if TYPE_CHECKING:
    from toque.images.build import Target

PYTHON = "3.11"
_ELSEWHERE = ("key", "pod.")
"""Settings of a model that must not travel: a reference to a secret of this machine, and the name of the image itself."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("action", choices=("build",), help="build an image and print its digest")
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", default="", help="a model of the settings (none: toque itself)"
    )
    parser.add_argument(
        "--tag", metavar="NAME", default="", help="its name in the local storage (default: toque-MODEL)"
    )
    parser.add_argument("--push", metavar="REF", default="", help="push it to a registry, as HOST/NAME:TAG")
    parser.add_argument("--layout", metavar="DIR", default="", help="write it to a folder too, in OCI's image layout")
    parser.add_argument(
        "--insecure", action="store_true", help="push without checking the registry's certificate, or over HTTP"
    )
    parser.add_argument(
        "--base",
        metavar="B",
        default="debian:bookworm",
        help=f"a Debian root made here ({', '.join(f'debian:{suite}' for suite in DEBIAN)}), or any image's reference",
    )
    parser.add_argument(
        "--python", metavar="V", default=PYTHON, help=f"Python of a base that is an image (default: {PYTHON})"
    )
    parser.add_argument("--apt-sources", metavar="FILE", type=Path, help="apt's list of mirrors for a Debian root")
    parser.add_argument(
        "--weights",
        choices=[choice.value for choice in Weights],
        default=Weights.BAKED.value,
        help="where the model's file is",
    )
    parser.add_argument("--weights-url", metavar="URL", default="", help="with --weights fetched: from where")
    parser.add_argument("--weights-sha256", metavar="HEX", default="", help="with --weights fetched: what it must be")
    parser.add_argument(
        "--code", metavar="PATH", type=Path, action="append", default=[], help="your agent's module or package (repeat)"
    )
    parser.add_argument(
        "--requirements", metavar="FILE", type=Path, help="packages your agent needs, pinned with hashes"
    )
    parser.add_argument(
        "--storage", metavar="DIR", default="", help="keep images in this folder instead of buildah's own place"
    )
    add_config(parser)
    add_json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Build it, and print its digest."""
    spec = read_config(find_config(args.config, terminal.environment), terminal.environment, {})
    from toque.app.replica import find_model  # noqa: PLC0415 - mistakes are told before heavy imports
    from toque.images.build import Storage, Target, build  # noqa: PLC0415

    model = find_model(spec, args.model, terminal.environment) if args.model else None
    order = _order(args, spec, model, terminal)
    name = args.tag or (f"toque-{args.model}" if args.model else "toque")
    target = Target(name, args.push, args.layout, tls_verify=not args.insecure)
    digest = build(order, target, Storage(args.storage), terminal.say)
    _tell(digest, target, args, terminal)
    return Exit.DONE


def _tell(digest: str, target: "Target", args: argparse.Namespace, terminal: Terminal) -> None:
    if args.json:
        terminal.show_json({"name": target.name, "digest": digest, "pushed": target.push})
    else:
        terminal.show(digest)


def _order(args: argparse.Namespace, spec: ServiceSpec, model: ModelSpec | None, terminal: Terminal) -> ImageOrder:
    weights = Weights(args.weights)
    if weights is Weights.FETCHED and not (args.weights_url and args.weights_sha256):
        raise ConfigError(
            "What is fetched at the start needs an address and a digest", fix="add --weights-url and --weights-sha256"
        )
    if model is not None and model.agent.url:
        raise ConfigError(
            f"The model {args.model} runs elsewhere; there is nothing to pack", fix="name one with a source"
        )
    return ImageOrder(
        base=_base(args.base, args.python),
        settings=_settings(spec, model),
        model=model,
        weights=weights,
        weights_url=args.weights_url,
        weights_sha256=args.weights_sha256,
        code=tuple(args.code or _own_code(model)),
        requirements=args.requirements,
        apt_sources=args.apt_sources,
        epoch_s=_epoch(terminal.environment.get("SOURCE_DATE_EPOCH", "")),
        title=f"toque: {args.model}" if args.model else "toque",
    )


def _base(text: str, python: str) -> Base:
    kind, _, suite = text.partition(":")
    if kind == "debian" and suite in DEBIAN:
        return DEBIAN[suite]
    if kind == "debian" and "/" not in text:
        raise ConfigError(
            f"There is no Debian root {text!r}", fix=f"write {' or '.join(f'debian:{name}' for name in DEBIAN)}"
        )
    return Base(python, GLIBC_MINOR_COMMON, reference=text)


def _settings(spec: ServiceSpec, model: ModelSpec | None) -> str:
    """Write the settings that travel: a model's own that are no defaults, its file under its name in the image.

    Without a model: only that toque is reached from outside its container, for the rest is mounted over it.
    """
    if model is None:
        return f'listen = "0.0.0.0:{PORT}"\n'
    here = f"models.{model.pool.name}."
    lines = [one for one in shown(spec) if one.name.startswith(here) and one.origin != DEFAULT]
    kept = [one for one in lines if not one.name.removeprefix(here).startswith((*_ELSEWHERE, "source"))]
    if model.agent.source:
        kept.insert(0, Shown(f"{here}source", f"{MODELS_DIR}/{Path(model.agent.source).name}", ""))
    return "".join(f"{as_toml(one, spec)}\n" for one in kept)


def _own_code(model: ModelSpec | None) -> list[Path]:
    """Find the module of a user's agent where `toque up` would: in this folder."""
    module = model.agent.agent.partition(":")[0] if model is not None and ":" in model.agent.agent else ""
    if not module:
        return []
    top = module.partition(".")[0]
    found = [path for path in (Path(top), Path(f"{top}.py")) if path.exists()]
    if not found:
        raise ConfigError(f"The code of the agent {module} is not in this folder", fix="name it with --code PATH")
    return found


def _epoch(text: str) -> int:
    if not text:
        return EPOCH_S
    if not text.isascii() or not text.isdecimal():
        raise ConfigError(f"SOURCE_DATE_EPOCH is {text!r}", fix="set it to seconds since 1970, or unset it")
    return int(text)
