"""`toque up`: serve until told to stop.

Law: it reads the settings, says what it serves, and leaves the rest to the app; it returns when everything it started is
gone.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toque.cli.parser import add_config, add_json
from toque.cli.progress import Announcer, JsonAnnouncer
from toque.cli.terminal import Terminal
from toque.config.read import find_config, read_config
from toque.model.errors import ConfigError
from toque.model.service_spec import ServiceSpec

_FLAGS = {
    "--listen": ("A", "address of the API, as HOST:PORT (port 0: any free one)"),
    "--admin-listen": ("A", "address of metrics and admin on loopback, or `off`"),
    "--model-name": ("N", "name to serve SOURCE or the embedded model under (default: chat)"),
    "--record": ("FILE", "record traffic (lengths and times, never text) for `toque simulate`"),
    "--record-journal": ("FILE", "write every decision to a file that `toque replay` can prove"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        nargs="?",
        default="",
        help="a .gguf file to serve instead of what ./toque.toml says",
    )
    add_config(parser)
    for flag, (metavar, text) in _FLAGS.items():
        parser.add_argument(flag, metavar=metavar, help=text)
    add_json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Serve, and return the service's own exit status."""
    read = settings_reader(args, terminal)
    spec = read()
    terminal.say(f"settings: {read.path or 'no file; the defaults'}")
    from toque.app import serve  # noqa: PLC0415  # a mistake in the settings is told before the heavy imports

    if args.source:
        _check_source(spec)
    if args.json:
        return serve(spec, JsonAnnouncer(terminal), read.again)
    with Announcer(spec, terminal) as announce:
        return serve(spec, announce, read.again)


@dataclass(frozen=True, slots=True)
class SettingsReader:
    """Reads the settings that a command line names, at the start and at each reload."""

    path: Path | None
    environment: Mapping[str, str]
    flags: Mapping[str, str]

    def __call__(self) -> ServiceSpec:
        """Read them. Raises `ConfigError`."""
        return read_config(self.path, self.environment, self.flags)

    def again(self) -> ServiceSpec:
        """Read them once more. Raises `ConfigError`, also where there is no file that could have changed."""
        if self.path is None:
            raise ConfigError("There is no settings file to read anew.", fix="Start with `toque up --config FILE`.")
        return self()


def settings_reader(args: argparse.Namespace, terminal: Terminal) -> SettingsReader:
    """Find what the command line names. A SOURCE alone means that no file is looked for."""
    flags = {flag: text for flag in _FLAGS if (text := getattr(args, flag.strip("-").replace("-", "_"))) is not None}
    path: Path | None = None
    if args.source:
        flags["SOURCE"] = args.source
    if args.config or not args.source:
        path = find_config(args.config, terminal.environment)
    return SettingsReader(path, terminal.environment, flags)


def _check_source(spec: ServiceSpec) -> None:
    """Read the header of a file named on the command line. Raises `ConfigError`: one that cannot be served ends the start.

    A model of the settings that cannot be served fails alone, and the others serve.
    """
    from toque.app.lineup import kind_of  # noqa: PLC0415  # see above

    for model in spec.models:
        kind_of(model).check(model.agent)
