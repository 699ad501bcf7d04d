"""Profiles: how one model behaves on one machine, as numbers in a TOML file. What each means: docs/reference/profiles.md.

Law: a profile can make replicas for a simulation, and bounds from both sides what a request costs; a wrong file is told with
file, key and what to write instead.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from difflib import get_close_matches
from importlib.resources import files
from importlib.resources.abc import Traversable
from math import isfinite
from pathlib import Path
from typing import Protocol

from toque.model.errors import ConfigError
from toque.sim.arrival import Arrival
from toque.sim.batching import BatchingProfile
from toque.sim.replica import SimulatedReplica
from toque.sim.slots import Prefill, SlotsProfile


class Profile(Protocol):
    """A replica model with its parameters."""

    @property
    def slots(self) -> int:
        """Requests one replica serves at once."""
        ...

    def replica(self) -> SimulatedReplica:
        """Make a replica."""
        ...

    def prefill_s(self, prompt_tokens: int) -> float:
        """Seconds from dispatch to the first token at the least."""
        ...

    def service_s(self, arrival: Arrival) -> float:
        """Seconds a request keeps its slot in a replica that is full of its like."""
        ...

    def alone_s(self, arrival: Arrival) -> float:
        """Seconds a request keeps its slot in a replica that has nothing else."""
        ...

    def longest_s(self, arrival: Arrival, prompt_tokens_max: int) -> float:
        """Seconds a request keeps its slot at the most, beside prompts of up to `prompt_tokens_max`."""
        ...

    def least_work_s(self, arrival: Arrival) -> float:
        """Replica-seconds a request needs at the least, however requests are packed."""
        ...


MODELS: Mapping[str, type[SlotsProfile] | type[BatchingProfile]] = {"slots": SlotsProfile, "batching": BatchingProfile}
SLOTS_MAX = 4096
_SUFFIX = ".toml"
_HELP = "see docs/reference/profiles.md"


def shipped_profiles() -> list[str]:
    """Return the names of the profiles that come along."""
    return sorted(entry.name.removesuffix(_SUFFIX) for entry in _shipped().iterdir() if entry.name.endswith(_SUFFIX))


def load_profile(name_or_path: str) -> Profile:
    """Load a profile that comes along by its name, or any by its file. Raises `ConfigError`."""
    path = Path(name_or_path)
    if name_or_path in shipped_profiles():
        return _read(_shipped() / f"{name_or_path}{_SUFFIX}", name_or_path)
    if path.suffix == _SUFFIX or len(path.parts) > 1 or path.is_file():
        return _read(path, name_or_path)
    known = ", ".join(shipped_profiles())
    raise ConfigError(f"there is no profile {name_or_path!r}", where="--profile", fix=f"name a file or one of {known}")


def with_slots(profile: Profile, slots: int) -> Profile:
    """Return the same model with replicas of so many slots. Raises `ConfigError` where it cannot have them."""
    assert isinstance(profile, SlotsProfile | BatchingProfile), "profiles are one of MODELS"
    changed = replace(profile, slots=slots)
    if isinstance(changed, BatchingProfile):
        _check_batching(changed, "slots")
    return changed


def _shipped() -> Traversable:
    return files("toque.sim") / "profiles"


def _read(source: Traversable, name: str) -> Profile:
    try:
        table = tomllib.loads(source.read_bytes().decode("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"cannot read the profile: {reason}", where=name, fix="name a TOML file") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the profile is not TOML: {error}", where=name, fix=_HELP) from error
    model = table.pop("model", None)
    if not isinstance(model, str) or model not in MODELS:
        raise ConfigError(f"model must be slots or batching, not {model!r}", where=name, fix='write model = "slots"')
    profile = _build(MODELS[model], table, name)
    if isinstance(profile, BatchingProfile):
        _check_batching(profile, name)
    return profile


def _build(
    kind: type[SlotsProfile] | type[BatchingProfile], table: Mapping[str, object], name: str
) -> SlotsProfile | BatchingProfile:
    known = {field.name: field for field in fields(kind)}
    for key in table:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            fix = f"did you mean {close[0]}?" if close else f"its keys are model, {', '.join(known)}"
            raise ConfigError(f"there is no {key} in this model", where=name, fix=fix)
    for key, field in known.items():
        if key not in table and field.default is MISSING:
            raise ConfigError(f"{key} is missing", where=name, fix=_HELP)
    whole = {key: _whole(key, content, name) for key, content in table.items() if known[key].type is int}
    seconds = {key: _seconds(key, content, name) for key, content in table.items() if known[key].type is float}
    choices = {key: _prefill(key, content, name) for key, content in table.items() if known[key].type is Prefill}
    return kind(**whole, **seconds, **choices)  # type: ignore[arg-type]  # the fields were just matched by name and type


def _whole(key: str, content: object, name: str) -> int:
    most = SLOTS_MAX if key == "slots" else 2**40
    if isinstance(content, bool) or not isinstance(content, int) or not 1 <= content <= most:
        fix = f"give a whole number from 1 to {most}"
        raise ConfigError(f"{key} must not be {content!r}", where=name, fix=fix)
    return content


def _seconds(key: str, content: object, name: str) -> float:
    if isinstance(content, bool) or not isinstance(content, int | float) or not isfinite(content) or content < 0:
        raise ConfigError(f"{key} must not be {content!r}", where=name, fix="give seconds, 0 or more")
    return float(content)


def _prefill(key: str, content: object, name: str) -> Prefill:
    if not isinstance(content, str) or content not in list(Prefill):
        fix = f"write one of {', '.join(Prefill)}"
        raise ConfigError(f"{key} must not be {content!r}", where=name, fix=fix)
    return Prefill(content)


def _check_batching(profile: BatchingProfile, name: str) -> None:
    if not profile.iteration_s:
        raise ConfigError("an iteration cannot take no time", where=name, fix="give iteration_s above 0")
    if profile.batch_tokens <= profile.slots:
        fix = "give batch_tokens above slots: every request in a batch takes one, and prompts take what is left"
        raise ConfigError(f"batch_tokens {profile.batch_tokens} leaves no room for prompts", where=name, fix=fix)
