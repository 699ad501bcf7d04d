"""`toque key`: make, list, revoke and rotate API keys.

Law: a key goes to standard output, once, and nowhere else; files get its digest only. With a key file the running service
is asked to reload, so that what was done holds when the command ends.
"""

import argparse
import hashlib
import re
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from toque.cli.admin import add_admin
from toque.cli.exits import Exit
from toque.cli.key_entry import add_rights, key_entry, key_table
from toque.cli.key_list import key_rows, list_keys
from toque.cli.key_reload import have_reloaded
from toque.cli.layout import columns
from toque.cli.parser import add_config, add_json
from toque.cli.terminal import Terminal
from toque.config.complaints import did_you_mean
from toque.config.key_file import KeyFile
from toque.config.moment import read_span, tell_moment
from toque.config.read import find_config, read_config
from toque.config.source import Table
from toque.model.errors import ConfigError
from toque.model.service_spec import ServiceSpec

KEY_PREFIX = "tq_live_"
KEY_BYTES = 32
GRACE = "24h"
"""How long a rotated key is accepted beside its successor: a working day for whoever must change it."""
_NAME = re.compile(r"[A-Za-z0-9._:/@-]{1,128}", re.ASCII)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    acts = parser.add_subparsers(dest="act", metavar="ACT", required=True, title="acts")
    for name, summary, declare in (
        (
            "create",
            "make a key, print it once, and put it into the key file (or print lines for toque.toml)",
            _add_create,
        ),
        ("ls", "list the keys, what they may do and until when", _add_nothing),
        ("revoke", "take a key out of the key file", _add_name),
        ("rotate", "put a new key in the place of one; the old one is accepted for a while", _add_rotate),
    ):
        act = acts.add_parser(name, help=summary, description=f"{summary[:1].upper()}{summary[1:]}.")
        declare(act)
        add_config(act)
        add_admin(act)
        add_json(act)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Do one act."""
    acts: Mapping[str, Callable[[argparse.Namespace, Terminal, ServiceSpec], int]] = {
        "create": _create,
        "ls": _list,
        "revoke": _revoke,
        "rotate": _rotate,
    }
    spec = read_config(find_config(args.config, terminal.environment), terminal.environment, {})
    return acts[args.act](args, terminal, spec)


def _add_nothing(parser: argparse.ArgumentParser) -> None:
    pass


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="whose key it is; logs and metrics name it")


def _add_create(parser: argparse.ArgumentParser) -> None:
    _add_name(parser)
    add_rights(parser)


def _add_rotate(parser: argparse.ArgumentParser) -> None:
    _add_name(parser)
    parser.add_argument(
        "--grace",
        metavar="SPAN",
        default=GRACE,
        help=f"how long the old key is accepted too: 0s, 15m, 24h, 7d (default: {GRACE})",
    )


# ---- acts


def _create(args: argparse.Namespace, terminal: Terminal, spec: ServiceSpec) -> int:
    if not _NAME.fullmatch(args.name):
        raise ConfigError(
            f"{args.name!r} cannot be the name of a key", fix="use 1 to 128 of: letters, digits, and . _ : / @ -"
        )
    key, digest = _new_key()
    entry = {"sha256": digest, **key_entry(args, spec, _now())}
    if not spec.keys_file:
        return _tell_lines(args, terminal, key, entry)
    if args.name in {known.name for known in spec.keys}:
        raise ConfigError(
            f"there is a key {args.name!r} already",
            where=_origin(spec, args.name),
            fix="give the new one another name, or `toque key rotate` the old one",
        )
    with _file(spec).changing() as keys:
        keys[args.name] = entry
    return _tell_change(args, terminal, spec, {"key": key, "sha256": digest})


def _list(args: argparse.Namespace, terminal: Terminal, spec: ServiceSpec) -> int:
    if args.json:
        terminal.show_json({"keys": list_keys(spec)})
        return Exit.DONE
    for line in columns(key_rows(list_keys(spec), _now())):
        terminal.show(line)
    if not spec.keys:
        terminal.say("No keys." if spec.keys_file else "No keys: whoever reaches this service may use it.")
    return Exit.DONE


def _revoke(args: argparse.Namespace, terminal: Terminal, spec: ServiceSpec) -> int:
    with _file_with(args.name, spec, "take its table out of there, then `toque reload`").changing() as keys:
        del keys[args.name]
    return _tell_change(args, terminal, spec, {})


def _rotate(args: argparse.Namespace, terminal: Terminal, spec: ServiceSpec) -> int:
    try:
        until = tell_moment(_now() + read_span(args.grace))
    except ValueError as error:
        raise ConfigError(f"--grace: {error}", fix="write it as 0s, 15m, 24h or 7d") from error
    key, digest = _new_key()
    fix = f'write sha256 = "{digest}" there, and the old digest as former_sha256 with former_until, then `toque reload`'
    with _file_with(args.name, spec, fix).changing() as keys:
        entry = keys[args.name]
        keys[args.name] = {**entry, "sha256": digest, "former_sha256": entry["sha256"], "former_until": until}
    return _tell_change(args, terminal, spec, {"key": key, "sha256": digest, "former_until": until})


# ---- how they tell


def _tell_lines(args: argparse.Namespace, terminal: Terminal, key: str, entry: Table) -> int:
    """Show a key and the lines that let it in, where there is no key file."""
    table = key_table(args.name, entry)
    if args.json:
        terminal.show_json({"name": args.name, "key": key, "sha256": entry["sha256"], "toml": table})
        return Exit.DONE
    _show_key(terminal, key)
    terminal.say(
        '\nWith keys_file = "keys.json" in toque.toml this command keeps keys there by itself. Without, paste these lines'
    )
    terminal.say(f"into toque.toml; they hold the digest only:\n\n{table}")
    return Exit.DONE


def _tell_change(args: argparse.Namespace, terminal: Terminal, spec: ServiceSpec, told: Mapping[str, str]) -> int:
    """Show the new key first: it is in the file, and this is the only time that anybody sees it."""
    if "key" in told and not args.json:
        _show_key(terminal, told["key"])
    is_in_force, how = have_reloaded(args.admin, terminal.environment, spec, args.name)
    if args.json:
        terminal.show_json({"name": args.name, **told, "file": spec.keys_file, "is_in_force": is_in_force})
    else:
        terminal.say(how)
    return Exit.DONE


def _show_key(terminal: Terminal, key: str) -> None:
    terminal.say("The key, shown this once (clients send it as `Authorization: Bearer KEY`):")
    terminal.show(key)


# ---- its own


def _new_key() -> tuple[str, str]:
    key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    return key, hashlib.sha256(key.encode("ascii")).hexdigest()


def _file(spec: ServiceSpec) -> KeyFile:
    return KeyFile(Path(spec.keys_file))


def _file_with(name: str, spec: ServiceSpec, fix: str) -> KeyFile:
    """Return the key file that has a key. Raises `ConfigError` for one that is not there, or stands in the settings."""
    names = [key.name for key in spec.keys]
    if name not in names:
        raise ConfigError(
            f"there is no key {name!r}", fix=did_you_mean(name, names) if names else "`toque key create` makes one"
        )
    if _origin(spec, name) != spec.keys_file:
        raise ConfigError(
            f"the key {name!r} stands in the settings, which this command leaves alone",
            where=_origin(spec, name),
            fix=fix,
        )
    return _file(spec)


def _origin(spec: ServiceSpec, name: str) -> str:
    return spec.origins[f"keys.{name}.sha256"]


def _now() -> float:
    return time.time()  # noqa: TID251 - dates of keys are the calendar's
