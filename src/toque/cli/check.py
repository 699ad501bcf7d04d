"""`toque check`: would `toque up` work here? One line for each thing looked at, and what to do where it would not.

Law: nothing of the service is started, and nothing fetched; a finding that would stop the service makes the command fail.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict

from toque.cli.exits import Exit
from toque.cli.findings import Finding, Verdict, check_addresses, check_fallbacks, check_files, check_keys, from_error
from toque.cli.parser import add_config, add_json
from toque.cli.terminal import Terminal
from toque.config.read import find_config, read_config
from toque.model.errors import ConfigError
from toque.model.service_spec import ServiceSpec

_MARKS = {Verdict.OK: ("ok", "green"), Verdict.NOTE: ("!", "yellow"), Verdict.FAULT: ("x", "red")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_config(parser)
    add_json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Look at everything, print what was found, and fail if something would stop the service."""
    findings = list(_findings(args.config, terminal))
    if args.json:
        terminal.show_json({"findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            _show(finding, terminal)
    if not any(finding.verdict is Verdict.FAULT for finding in findings):
        return Exit.DONE
    return Exit.USAGE if findings[0].verdict is Verdict.FAULT else Exit.FAILED


def _findings(named: str, terminal: Terminal) -> Iterator[Finding]:
    path = find_config(named, terminal.environment)
    try:
        spec = read_config(path, terminal.environment, {})
    except ConfigError as error:
        yield from_error("settings", error)
        return
    yield Finding(Verdict.OK, "settings", str(path or "no file: the embedded model as `chat`"))
    yield from check_spec(spec, terminal)


def check_spec(spec: ServiceSpec, terminal: Terminal) -> Iterator[Finding]:
    """Look at what the settings name."""
    from toque.cli.fit import check_capacity, check_models  # noqa: PLC0415  # heavy, and of no use to wrong settings
    from toque.cli.fit_cluster import check_cluster  # noqa: PLC0415
    from toque.cli.fit_isolation import check_isolation  # noqa: PLC0415

    yield from check_models(spec)
    yield from check_keys(spec, terminal.environment)
    yield from check_fallbacks(spec)
    yield from check_addresses(spec)
    yield from check_capacity(spec, terminal.environment)
    yield from check_files(spec)
    yield from check_isolation(spec, terminal.environment)
    yield from check_cluster(spec, terminal.environment)


def _show(finding: Finding, terminal: Terminal) -> None:
    mark, style = _MARKS[finding.verdict]
    terminal.show(f"{terminal.paint(f'{mark:<2}', style, terminal.out)} {finding.subject}: {finding.text}")
    if finding.fix:
        terminal.show(f"   fix: {finding.fix}")
