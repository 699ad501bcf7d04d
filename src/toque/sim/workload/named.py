"""Workloads by what a person writes: a file, the name of a trace that comes with toque, or a synthetic one.

    day.csv.gz    azure-code-2023    bursts    poisson:rate=5    square:low=1,high=9,period=600,duration=7200

Law: a workload can be started anew as often as wanted, and is the same each time.
"""

import inspect
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from toque.model.errors import ConfigError
from toque.sim.arrival import Arrival
from toque.sim.workload.synthetic import (
    BURSTS,
    Sizes,
    Source,
    bursts,
    daily,
    flash_crowd,
    gamma,
    on_off,
    poisson,
    square,
)
from toque.sim.workload.trace import read_trace

SHIPPED = Path(__file__).parent.parent / "traces"
SUFFIX = ".csv.gz"
KINDS: Mapping[str, Callable[..., Iterator[Arrival]]] = {
    "daily": daily,
    "flash_crowd": flash_crowd,
    "gamma": gamma,
    "on_off": on_off,
    "poisson": poisson,
    "square": square,
}
COMMON: Mapping[str, float] = {"duration": 3600.0, "prompt": 500.0, "output": 100.0, "seed": 0.0}
"""Settings of all synthetic workloads: seconds, mean lengths in tokens, and the seed of their chance."""

Start: TypeAlias = Callable[[], Iterator[Arrival]]


@dataclass(frozen=True, slots=True)
class Workload:
    """`start()` gives its arrivals from the first on. `span_s` is its length where that is known, else 0."""

    name: str
    start: Start
    span_s: float = 0.0


def find_workload(text: str, model: str = "") -> Workload:
    """Return what `text` names; of a file that tells models apart only the requests of `model`, if one is named.

    Raises `ConfigError` where it names nothing; a file's rows are judged when it is read.
    """
    kind, colon, rest = text.partition(":")
    if text == BURSTS:
        return Workload(BURSTS, bursts)
    if colon and kind in KINDS:
        return _synthetic(text, kind, rest)
    path = file_of(text)
    if path is None:
        known = ", ".join((*shipped_names(), BURSTS, *(f"{kind}:..." for kind in KINDS)))
        raise ConfigError(f"there is no trace {text!r}", fix=f"name a file, or one of {known}")
    return Workload(text, lambda: read_trace(path, model))


def file_of(text: str) -> Path | None:
    """Return the file of a trace, if it is one."""
    path = SHIPPED / f"{text}{SUFFIX}" if text in shipped_names() else Path(text)
    return path if path.is_file() else None


def shipped_names() -> list[str]:
    """Names of the traces that come with toque."""
    return sorted(path.name.removesuffix(SUFFIX) for path in SHIPPED.glob(f"*{SUFFIX}"))


def _synthetic(text: str, kind: str, rest: str) -> Workload:
    make = KINDS[kind]
    own = [name for name in inspect.signature(make).parameters if name != "source"]
    values = _values(text, rest, (*own, *COMMON))
    if missing := [name for name in own if name not in values]:
        raise ConfigError(f"{text!r} lacks {', '.join(missing)}", fix=f"write {kind}:{_example(own)}")
    settings = {**COMMON, **values}
    sizes = Sizes(settings["prompt"], settings["output"])

    def start() -> Iterator[Arrival]:
        chance = random.Random(settings["seed"])  # noqa: S311 - reproducible on purpose
        return make(*(settings[name] for name in own), Source(settings["duration"], chance, sizes))

    return Workload(text, start, settings["duration"])


def _values(text: str, rest: str, known: tuple[str, ...]) -> dict[str, float]:
    values: dict[str, float] = {}
    for part in filter(None, rest.split(",")):
        name, _, number = part.partition("=")
        if name not in known:
            raise ConfigError(f"{text!r} has an unknown key {name!r}", fix=f"keys are {', '.join(known)}")
        try:
            values[name] = float(number)
        except ValueError:
            values[name] = -1.0
        if not _is_possible(name, values[name]):
            raise ConfigError(f"{name}={number} in {text!r} is not possible", fix=_FIXES.get(name, _ABOVE_ZERO))
    return values


_ABOVE_ZERO = "write a number above 0"
_FIXES = dict.fromkeys(("low", "start", "seed"), "write a number from 0") | {"swing": "write a number from 0 to 1"}


def _is_possible(name: str, number: float) -> bool:
    least = number >= 0 if name in _FIXES else number > 0
    return least and number <= (1 if name == "swing" else 1e9)


def _example(names: list[str]) -> str:
    return ",".join(f"{name}=1" for name in names)
