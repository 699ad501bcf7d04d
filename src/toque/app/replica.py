"""One replica that stands alone, without a service: in a container, or on a machine that a service reaches by its URL.

Law: this process becomes the replica, so signals, standard output and the exit status are the engine's own.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

from toque.agents.embedded import EMBEDDED_NAME, find, find_or_fetch
from toque.agents.fetch import fetch
from toque.app.lineup import kind_of
from toque.app.machine import measure_machine
from toque.app.plan import settle_threads
from toque.app.state import state_dir
from toque.model.agent_spec import ModelSpec, Secret
from toque.model.errors import ConfigError
from toque.model.service_spec import ServiceSpec
from toque.ports import CHILD_LISTEN, CHILD_METRICS, MODELS_DIR, Launch

_HARMLESS = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "PYTHONPATH",
    "PYTHONUNBUFFERED",
    "PYTHONDONTWRITEBYTECODE",
)
"""What it keeps of this process's environment: keys of providers live in the rest of it."""


@dataclass(frozen=True, slots=True)
class Alone:
    """What is to stand alone: the model's name, HOST:PORT to listen on, the bearer token that it expects.

    `weights`: address and SHA-256 of the model's file, to be fetched where it is not there yet. `metrics`: HOST:PORT where it tells
    its load to anybody; empty for nowhere.
    """

    name: str
    listen: str
    secret: Secret
    weights: tuple[str, str] | None = field(default=None)
    metrics: str = ""

    @property
    def wiring(self) -> dict[str, str]:
        """What the replica's environment says of this."""
        return {CHILD_LISTEN: self.listen} | ({CHILD_METRICS: self.metrics} if self.metrics else {})


def become_replica(spec: ServiceSpec, alone: Alone, environment: Mapping[str, str]) -> NoReturn:
    """Run one replica in place of this process. Raises `ConfigError` when that cannot be."""
    model = find_model(spec, alone.name, environment)
    if alone.weights is not None:
        fetch(*alone.weights, Path(model.agent.source), lambda _: None)
    launch = _launch(_alone(model), alone.secret)
    kept = {variable: environment[variable] for variable in _HARMLESS if variable in environment}
    try:
        os.execve(launch.argv[0], launch.argv, kept | dict(launch.environment) | alone.wiring)  # noqa: S606
    except OSError as error:
        raise ConfigError(f"{launch.argv[0]} cannot be run: {error.strerror}") from error


def find_model(spec: ServiceSpec, name: str, environment: Mapping[str, str]) -> ModelSpec:
    """Return the model of that name, the embedded one as a file: its image's, else fetched. Raises `ConfigError` where there is none."""
    model = next((model for model in spec.models if model.pool.name == name), None)
    if model is None:
        known = ", ".join(model.pool.name for model in spec.models)
        raise ConfigError(f"There is no model {name!r} in the settings.", fix=f"There are: {known}")
    if model.agent.source != EMBEDDED_NAME:
        return model
    path = find(Path(MODELS_DIR)) or _fetched(state_dir(spec.records.state_dir, environment))
    return replace(model, agent=replace(model.agent, source=str(path)))


def _fetched(home: Path) -> Path:
    return asyncio.run(find_or_fetch(home / "models", lambda _: None))


def _alone(model: ModelSpec) -> ModelSpec:
    """Leave nothing open: the threads of a replica that is alone are all the cores there are."""
    pool = replace(model.pool, replicas=replace(model.pool.replicas, minimum_warm=0, maximum=1))
    (settled,) = settle_threads([replace(model, pool=pool)], measure_machine().cores)
    return settled


def _launch(model: ModelSpec, secret: Secret) -> Launch:
    kind = kind_of(model)
    kind.check(model.agent)
    launch = kind.launch(model, secret)
    if launch is None:
        raise ConfigError(
            f"The model {model.pool.name} runs elsewhere; there is nothing to run here.", fix="Name one with a source."
        )
    return launch
