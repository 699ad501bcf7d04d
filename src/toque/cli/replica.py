"""`toque replica`: one replica of a model, alone: what runs in a container, or on a machine without a service.

Law: it answers nobody without the secret, and the secret is in a file or a variable, never in argv.
"""

import argparse
from collections.abc import Mapping

from toque.cli.parser import add_config
from toque.cli.terminal import Terminal
from toque.config.address import split_address
from toque.config.read import find_config, read_config, read_settings
from toque.config.secret import read_secret
from toque.model.errors import ConfigError
from toque.model.service_spec import ServiceSpec
from toque.ports import REPLICA_SECRET, REPLICA_SETTINGS

LISTEN = "127.0.0.1:8080"
SECRET = f"env:{REPLICA_SECRET}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", default="", help="a model of the settings (default: the only one)"
    )
    parser.add_argument("--listen", metavar="A", default=LISTEN, help=f"address as HOST:PORT (default: {LISTEN})")
    parser.add_argument(
        "--secret",
        metavar="REF",
        default=SECRET,
        help=f"what callers must send as a bearer token: env:NAME or file:PATH (default: {SECRET})",
    )
    parser.add_argument(
        "--metrics-listen",
        metavar="A",
        default="",
        help="address as HOST:PORT where GET /metrics tells its load to anybody, as endpoint pickers ask for it (default: nowhere)",
    )
    parser.add_argument(
        "--weights-url", metavar="URL", default="", help="fetch the model from here first, if it is not there yet"
    )
    parser.add_argument("--weights-sha256", metavar="HEX", default="", help="what the fetched file must be")
    add_config(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Become the replica. Raises `ConfigError` where that cannot be."""
    spec = _settings(args.config, terminal.environment)
    name = args.model or (spec.models[0].pool.name if len(spec.models) == 1 else "")
    if not name:
        raise ConfigError("There are several models in the settings.", fix="name one: toque replica MODEL")
    for address in (args.listen, args.metrics_listen):
        _check_address(address)
    secret = read_secret(args.secret, terminal.environment)
    from toque.app.replica import Alone, become_replica  # noqa: PLC0415 - mistakes are told before heavy imports

    weights = (args.weights_url, args.weights_sha256) if args.weights_url else None
    become_replica(spec, Alone(name, args.listen, secret, weights, args.metrics_listen), terminal.environment)


def _check_address(address: str) -> None:
    try:
        if address:
            split_address(address)
    except ValueError as error:
        raise ConfigError(str(error), fix="write HOST:PORT, such as 0.0.0.0:8080") from error


def _settings(config: str, environment: Mapping[str, str]) -> ServiceSpec:
    """Read the file that was named, else the settings that whoever started this Pod put into its environment, else as always."""
    if not config and REPLICA_SETTINGS in environment:
        return read_settings(REPLICA_SETTINGS, environment[REPLICA_SETTINGS], environment)
    return read_config(find_config(config, environment), environment, {})
