"""Secrets by reference: `env:NAME` or `file:PATH` becomes a `Secret` that never prints.

Law: the one place where a reference becomes its text; no message contains the text.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from toque.config.source import expanded
from toque.model.agent_spec import Secret
from toque.model.errors import ConfigError

REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:.+")
SECRET_BYTES_MAX = 64 * 2**10


def read_secret(reference: str, environment: Mapping[str, str]) -> Secret:
    """Return what `reference` names. Raises `ConfigError` when it is no reference, or nothing is there."""
    if not REFERENCE.fullmatch(reference):
        raise ConfigError(
            "A secret is given as a reference, never as itself.", fix='Write key = "env:NAME" or key = "file:PATH".'
        )
    kind, _, name = reference.partition(":")
    text = environment.get(name, "") if kind == "env" else _read(expanded(name))
    if not text.strip():
        raise ConfigError(f"There is no secret at {reference}.", fix=_FIXES[kind].format(name=name))
    return Secret(text.strip())


_FIXES = {"env": "Set it before the start: export {name}=...", "file": "Write the key into {name} (chmod 600)."}


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(SECRET_BYTES_MAX).decode()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"The secret in {path} cannot be read.", fix="It must be a text file that this user may read."
        ) from error
