"""`toque controller`: lead a fleet of ModelPools in a cluster, or stand ready to.

Law: it reads the settings and leaves the rest to the app; its replicas outlive it.
"""

import argparse
from importlib.util import find_spec

from toque.cli.parser import add_config, add_json
from toque.cli.progress import Announcer, JsonAnnouncer
from toque.cli.terminal import Terminal
from toque.config.pools import read_controller
from toque.config.read import find_config
from toque.model.errors import ConfigError

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
    add_json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Stand for election, and lead when elected, until told to stop."""
    flags = {flag: text for flag in _FLAGS if (text := getattr(args, flag.strip("-").replace("-", "_"))) is not None}
    path = find_config(args.config, terminal.environment)
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
