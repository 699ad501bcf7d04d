"""What a new key may do, from the command line to the entry of a key file or the lines of toque.toml.

Law: only what was said is written down; everything else is left to the defaults. The settings' own check has the last word.
"""

import argparse
import json
import re
from dataclasses import fields

from toque.config.complaints import did_you_mean
from toque.config.moment import read_moment, read_span, tell_moment
from toque.config.read import check_key
from toque.config.source import Table
from toque.model.errors import ConfigError
from toque.model.service_spec import ServiceSpec
from toque.model.usage import KeyLimitSpec

LIMITS = tuple(field.name for field in fields(KeyLimitSpec))
_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,9})?", re.ASCII)


def add_rights(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of what a key may do."""
    parser.add_argument(
        "--model",
        metavar="M",
        dest="models",
        action="append",
        help="a model it may use (repeat; none: all of them)",
    )
    parser.add_argument("--class", dest="service_class", choices=("interactive", "batch"), help="class of its requests")
    parser.add_argument("--priority", type=int, metavar="N", help="of its requests: 0 is served first, 3 is usual")
    parser.add_argument("--priority-best", type=int, metavar="N", help="the best its requests may ask for (default: 3)")
    parser.add_argument("--share", type=float, metavar="W", help="weight among the keys that wait (default: 1)")
    parser.add_argument(
        "--may-leave", action="store_const", const=True, help="fallbacks may take its requests to other machines"
    )
    parser.add_argument(
        "--limit",
        metavar="LIMIT=N",
        dest="limits",
        action="append",
        help=f"what it may use (repeat): {', '.join(LIMITS)}",
    )
    parser.add_argument("--expires", metavar="WHEN", help="a date (2027-01-31, UTC), or a span from now (30d)")


def key_entry(args: argparse.Namespace, spec: ServiceSpec, now: float) -> Table:
    """Return the settings that were said, but for the digest. Raises `ConfigError` for what cannot be."""
    names = ("models", "service_class", "priority", "priority_best", "share", "may_leave")
    entry: Table = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.limits:
        entry["limits"] = dict(_limit(text) for text in args.limits)
    if args.expires:
        entry["expires_at"] = tell_moment(_moment(args.expires, now))
    check_key(args.name, entry)
    known = [model.pool.name for model in spec.models]
    for model in args.models or ():
        if spec.keys_file and model not in known:  # the service would refuse the whole file
            raise ConfigError(f"there is no model {model!r}", fix=did_you_mean(model, known))
    return entry


def key_table(name: str, entry: Table) -> str:
    """Write an entry as a table of toque.toml."""
    header = name if _BARE.fullmatch(name) else json.dumps(name)
    return "\n".join([f"[keys.{header}]", *(f"{name} = {_toml(value)}" for name, value in entry.items()), ""])


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {_toml(inner)}' for name, inner in value.items())} }}"
    return json.dumps(value)


def _limit(text: str) -> tuple[str, int | float]:
    name, _, amount = text.partition("=")
    if name not in LIMITS:
        raise ConfigError(f"there is no limit {name!r}", fix=did_you_mean(name, LIMITS))
    if not _NUMBER.fullmatch(amount):
        raise ConfigError(f"the limit {name} needs a number, not {amount!r}", fix=f"write --limit {name}=60")
    return name, float(amount) if "." in amount else int(amount)


def _moment(text: str, now: float) -> float:
    try:
        return now + read_span(text)
    except ValueError:
        pass
    try:
        at = read_moment(text)
    except ValueError as error:
        raise ConfigError(f"--expires {error}", fix="or a span from now, such as 30d") from error
    assert isinstance(at, float), "a text is read as a moment"
    return at
