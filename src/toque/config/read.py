"""`read_config`: from a file, the environment and flags to the one frozen value everything starts from.

Law: what it returns is complete and without contradiction; what it raises is a `ConfigError` that names a place.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TypeVar, cast, get_origin, get_type_hints

from pydantic import ValidationError

from toque.config.address import is_elsewhere
from toque.config.complaints import Blame, config_error
from toque.config.layers import Layers
from toque.config.rules import first_contradiction
from toque.config.shape import SERVICE, Entry
from toque.config.source import KeyPath, Table, TomlSource, parse_source, read_source
from toque.config.tables import checked
from toque.model.agent_spec import AgentSpec, ModelSpec
from toque.model.errors import ConfigError
from toque.model.isolation_spec import IsolationSpec
from toque.model.pod_spec import PodSpec
from toque.model.resources import Resources
from toque.model.service_spec import KeySpec, ServiceSpec
from toque.model.spec import PoolSpec

LOCAL_DRIVER = "process"
"""The one driver whose replicas are known to be on this machine."""
CONFIG_NAME = "toque.toml"
CONFIG_VARIABLE = "TOQUE_CONFIG"

_Spec = TypeVar("_Spec")
_Values = Mapping[str, object]


def find_config(named: str, environment: Mapping[str, str]) -> Path | None:
    """Return the file to read: the one named, that of TOQUE_CONFIG, or ./toque.toml where it exists."""
    if chosen := named or environment.get(CONFIG_VARIABLE, ""):
        return Path(chosen)
    usual = Path(CONFIG_NAME)
    return usual if usual.exists() else None


def read_config(path: Path | None, environment: Mapping[str, str], flags: Mapping[str, str]) -> ServiceSpec:
    """Return the service to run. Without any model in the file: the embedded one as `chat`.

    `flags` holds what was said on the command line: those of `layers.FLAGS`, `SOURCE` (a model to serve instead of the
    file's) and `--model-name` (its name). Raises `ConfigError` for the first thing that is wrong.
    """
    return _read(read_source(path) if path else None, environment, flags)


def read_settings(name: str, text: str, environment: Mapping[str, str]) -> ServiceSpec:
    """Return the service of a settings file that is known by its text, called `name`. Raises `ConfigError` likewise."""
    return _read(parse_source(name, text), environment, {})


def read_layers(layers: Layers) -> ServiceSpec:
    """Return the service that layers of settings come to. Raises `ConfigError` for the first thing that is wrong."""
    try:
        values = checked(layers.table)
    except ValidationError as error:
        raise config_error(error, layers.blame) from error
    spec = _service(values, _origins(values, layers))
    if wrong := first_contradiction(spec):
        raise ConfigError(wrong.message, where=layers.blame(wrong.path), fix=wrong.fix)
    return spec


def read_model(name: str, table: Table, driver: str, blame: Blame) -> ModelSpec:
    """Return the model of a `[models.NAME]` table, each setting checked alone. Raises `ConfigError`; `blame` says where."""
    try:
        values = checked({"models": {name: table}})
    except ValidationError as error:
        raise config_error(error, blame) from error
    return _model(name, _table(_table(values["models"])[name]), driver)


def _read(source: TomlSource | None, environment: Mapping[str, str], flags: Mapping[str, str]) -> ServiceSpec:
    return read_layers(Layers(source, environment, flags))


def check_key(name: str, table: Table) -> None:
    """Raise `ConfigError` for what cannot stand in `[keys.NAME]`."""
    try:
        checked({"keys": {name: {"sha256": "", **table}}})
    except ValidationError as error:
        raise config_error(error, lambda _: "") from error


def _service(values: _Values, origins: Mapping[str, str]) -> ServiceSpec:
    models, keys, capacity = (_table(values[name]) for name in ("models", "keys", "capacity"))
    return _made(
        ServiceSpec,
        values,
        models=tuple(_model(name, _table(table), str(values["driver"])) for name, table in models.items()),
        keys=tuple(_made(KeySpec, _table(table), name=name) for name, table in keys.items()),
        capacity=Resources(
            cast(int, capacity["memory"]), cast(float, capacity["cores"]), cast(int, capacity["gpu_memory"])
        ),
        origins=origins,
    )


def _model(name: str, table: _Values, driver: str) -> ModelSpec:
    """A model with a URL runs elsewhere: its pool has one replica, which is not ours to start."""
    url = str(table["url"])
    hosted = is_elsewhere(url) if url else driver != LOCAL_DRIVER
    pool = _made(PoolSpec, table, name=name, elastic=not url, hosted=hosted)
    parts = (_made(IsolationSpec, _table(table["isolation"])), _made(PodSpec, _table(table["pod"])))
    return ModelSpec(pool, _made(AgentSpec, table), *parts)


def _made(spec: type[_Spec], table: _Values, **given: object) -> _Spec:
    """Make a spec from those values of a table that have its fields' names."""
    hints = get_type_hints(spec)
    values: dict[str, object] = {}
    for field in fields(spec):  # type: ignore[arg-type]  # every spec is a dataclass
        if field.name in table and field.name not in given:
            values[field.name] = _value(hints[field.name], table[field.name])
    return spec(**values, **given)


def _value(hint: object, value: object) -> object:
    if isinstance(hint, type) and is_dataclass(hint):
        return _made(hint, _table(value))
    collection = get_origin(hint)
    if collection in (tuple, frozenset) and isinstance(value, list):
        return tuple(value) if collection is tuple else frozenset(value)
    return float(value) if hint is float and isinstance(value, int) else value


def _table(value: object) -> _Values:
    return cast(_Values, value)


def _origins(values: _Values, layers: Layers, path: KeyPath = ()) -> dict[str, str]:
    origins: dict[str, str] = {}
    for name, value in values.items():
        here = (*path, name)
        if isinstance(value, dict) and not isinstance(SERVICE.at(here), Entry):
            origins |= _origins(value, layers, here)
        else:
            origins[".".join(here)] = layers.origin(here)
    return origins
