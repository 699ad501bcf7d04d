"""`toque controller`: lead a fleet of ModelPools in a cluster, or stand ready to.

Law: it reads the settings and leaves the rest to the app; its replicas outlive it.
"""

import argparse
from importlib.util import find_spec

from toque.cli.parser import add_config, add_json
from toque.cli.progress import Announcer, JsonAnnouncer
from toque.cli.terminal import Terminal
from toque.config.pools import read_controller
from toque.config.read import find_config, read_config
from toque.model.errors import ConfigError
from toque.model.service_spec import ServiceSpec

NEEDED = ("kopf", "lightkube")
_FLAGS = ("--admin-listen", "--record-journal")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_config(parser)
    parser.add_argument(
        "--admin-listen", metavar="A", help="address of metrics and admin on loopback, or `off`; port 0: any free one"
    )
    parser.add_argument(
        "--record-journal", metavar="FILE", help="write every decision to a file that `toque replay` can prove"
    )
    parser.add_argument(
        "--standalone",
        action="store_true",
        help="without Kubernetes: the models of the settings file, by its driver, and nobody else stands for election",
    )
    add_json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Stand for election, and lead when elected, until told to stop."""
    flags = {flag: text for flag in _FLAGS if (text := getattr(args, flag.strip("-").replace("-", "_"))) is not None}
    path = find_config(args.config, terminal.environment)
    if args.standalone:
        return _run_alone(read_config(path, terminal.environment, flags), args, terminal)
    spec = read_controller(path, terminal.environment, flags)
    for package in NEEDED:
        if find_spec(package) is None:
            raise ConfigError(
                f"A controller needs the package {package}, which is not installed.",
                fix='pip install "toque[kubernetes]"',
            )
    terminal.say(f"settings: {path or 'no file; the defaults'}")
    from toque.app.controller import control  # noqa: PLC0415  # a mistake in the settings is told before the heavy imports

    if args.json:
        return control(spec, JsonAnnouncer(terminal))
    with Announcer(spec, terminal) as announce:
        return control(spec, announce)


def _run_alone(spec: ServiceSpec, args: argparse.Namespace, terminal: Terminal) -> int:
    from toque.app.standalone import control_alone  # noqa: PLC0415  # as above

    if args.json:
        return control_alone(spec, JsonAnnouncer(terminal))
    with Announcer(spec, terminal) as announce:
        return control_alone(spec, announce)
