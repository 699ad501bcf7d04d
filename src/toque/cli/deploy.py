"""`toque deploy`: what runs toque in a Kubernetes cluster, as manifests, as a Helm chart, or as values of that chart.

Law: it prints or writes files, and asks no cluster anything but to drain; the same settings give the same bytes.
"""

import argparse
import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from toque.cli.exits import Exit
from toque.cli.parser import add_config
from toque.cli.terminal import Terminal
from toque.config.read import find_config, read_config
from toque.model.errors import ConfigError
from toque.model.service_spec import ServiceSpec

ALL, DEFINITION, OBJECTS = "all", "definition", "objects"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "action",
        choices=("render", "values", "chart", "drain"),
        help="render: plain manifests; values: the settings as values of the Helm chart; chart: the chart itself; "
        "drain: delete all ModelPools of the namespace and wait until they are gone, before toque is removed",
    )
    parser.add_argument("--image", metavar="REF", default="", help="image of toque (default: deploy.image)")
    parser.add_argument("--gateways", metavar="N", type=int, help="how many gateways (default: deploy.gateway.pods)")
    parser.add_argument(
        "--namespace", metavar="NS", default="", help="where (default: kubernetes.namespace, or `toque`)"
    )
    parser.add_argument(
        "--create-namespace",
        action="store_true",
        help="render the namespace too, which enforces Pod Security restricted",
    )
    parser.add_argument(
        "--only",
        choices=(DEFINITION, OBJECTS),
        default=ALL,
        help="render the definition of ModelPool alone, which must be there first, or everything else",
    )
    parser.add_argument(
        "--kubernetes",
        metavar="V",
        default="",
        help="version of the cluster, where it is older than 1.30 (such as 1.27): what it does not know is left out",
    )
    parser.add_argument(
        "--within", metavar="SECONDS", type=float, default=240.0, help="how long drain waits (default: 240)"
    )
    parser.add_argument("--to", metavar="FOLDER", type=Path, help="write files into a folder instead of printing")
    add_config(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Print or write it."""
    from toque.deploy import everything, values  # noqa: PLC0415 - `toque --help` need not know them
    from toque.deploy.chart import chart  # noqa: PLC0415
    from toque.deploy.text import document, documents  # noqa: PLC0415
    from toque.deploy.words import whole  # noqa: PLC0415

    if args.action == "chart":
        if args.to is None:
            raise ConfigError("A chart is a folder", fix="say where: --to FOLDER")
        _write(chart(), args.to, terminal)
        return Exit.DONE
    spec = _spec(args, terminal)
    if args.action == "drain":
        return _drain(args, spec, terminal)
    release = values.release_of(spec, args.namespace, _minor(args.kubernetes))
    if args.action == "values":
        texts = {"values.yaml": document(values.said_values(spec))}
    else:
        chosen = everything.manifests(
            release,
            with_namespace=args.create_namespace,
            with_definition=args.only != OBJECTS,
            with_objects=args.only != DEFINITION,
        )
        texts = {name: documents([whole(each) for each in made]) for name, made in chosen.items() if made}
    if args.to is not None:
        _write(texts, args.to, terminal)
    else:
        terminal.show("".join(texts.values()), end="")
    return Exit.DONE


def _drain(args: argparse.Namespace, spec: ServiceSpec, terminal: Terminal) -> int:
    from toque.kube.removal import remove_pools  # noqa: PLC0415 - who only prints needs no client of Kubernetes

    kubernetes = replace(spec.kubernetes, namespace=args.namespace or spec.kubernetes.namespace)
    left = asyncio.run(remove_pools(kubernetes, terminal.environment, args.within))
    terminal.show(f"still there after {args.within:g} s: {', '.join(left)}" if left else "no ModelPool is left")
    return Exit.FAILED if left else Exit.DONE


def _minor(version: str) -> int:
    """Return the x of a Kubernetes 1.x; of none, what is usual."""
    from toque.deploy.fill import MINOR_USUAL  # noqa: PLC0415 - as in `run`

    if not version:
        return MINOR_USUAL
    found = re.fullmatch(r"v?1\.([0-9]{1,3})(\.\S*)?", version, re.ASCII)
    if found is None:
        raise ConfigError(f"{version!r} is no version of Kubernetes", fix="write --kubernetes 1.27")
    return int(found[1])


def _spec(args: argparse.Namespace, terminal: Terminal) -> ServiceSpec:
    """Read the settings; the embedded model that `toque up` assumes is in no cluster."""
    path = find_config(args.config, terminal.environment)
    spec = read_config(path, terminal.environment, {})
    origins = dict(spec.origins)
    deploy = spec.deploy
    if args.image:
        deploy = replace(deploy, image=args.image)
        origins["deploy.image"] = "--image"
    if args.gateways is not None:
        deploy = replace(deploy, gateway=replace(deploy.gateway, pods=args.gateways))
        origins["deploy.gateway.pods"] = "--gateways"
    return replace(spec, deploy=deploy, origins=origins)


def _write(texts: Mapping[str, str], folder: Path, terminal: Terminal) -> None:
    """Write files, and say which; what else is in the folder stays."""
    for name, text in texts.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}", fix="name another folder") from error
        terminal.show(str(path))
