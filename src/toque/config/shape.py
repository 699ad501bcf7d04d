"""The shape of a settings file, read off the specs: which tables there are, and which settings stand in them.

Law: nothing is declared here that a spec declares; checks, reference, schema and environment names follow this shape.
"""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from typing import get_type_hints

from toque.config.source import KeyPath
from toque.core.routing import ROUTERS
from toque.core.scaling import POLICIES
from toque.model.agent_spec import AgentSpec
from toque.model.isolation_spec import IsolationSpec
from toque.model.pod_spec import PodSpec
from toque.model.service_spec import KeySpec, ServiceSpec
from toque.model.setting import Setting
from toque.model.spec import PoolSpec

_CORE_TABLES = {"policy": tuple(POLICIES), "routing": tuple(ROUTERS)}
"""Setting -> the names that one table line in the core gives it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting: the type of its field, what to know about it, and its default (`MISSING`: must be given)."""

    hint: object
    about: Setting
    default: object


@dataclass(frozen=True, slots=True)
class Shape:
    """One table, what it is for, and what may stand in it. `is_named`: it is one of many, under a name of your own."""

    why: str
    entries: Mapping[str, "Entry | Shape"]
    is_named: bool = False

    def settings(self, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Entry]]:
        """Yield every setting that has one fixed place, with that place."""
        for name, entry in self.entries.items():
            if isinstance(entry, Entry):
                yield (*path, name), entry
            elif not entry.is_named:
                yield from entry.settings((*path, name))

    def at(self, path: KeyPath) -> "Entry | Shape | None":
        """Return what stands at `path` (names of your own included); None when nothing does."""
        here: Entry | Shape | None = self
        names = iter(path)
        for name in names:
            if not isinstance(here, Shape):
                return None
            here = here.entries.get(name)
            if isinstance(here, Shape) and here.is_named and next(names, None) is None:
                return here
        return here


def shape_of(spec: type, *, is_named: bool = False) -> Shape:
    """Read the shape of one spec: its settings, and the specs inside it that have settings."""
    hints = get_type_hints(spec)
    entries: dict[str, Entry | Shape] = {}
    for field in fields(spec):
        hint = hints[field.name]
        about = field.metadata.get("setting")
        if isinstance(about, Setting):
            default = field.default_factory() if field.default_factory is not MISSING else field.default
            choices = about.choices or _CORE_TABLES.get(field.name, ())
            entries[field.name] = Entry(hint, replace(about, choices=choices), default)
        elif isinstance(hint, type) and is_dataclass(hint) and (inner := shape_of(hint)).entries:
            entries[field.name] = inner
    return Shape((spec.__doc__ or "").partition("\n")[0], entries, is_named)


def _model_shape() -> Shape:
    agent, pool = shape_of(AgentSpec), shape_of(PoolSpec)
    flat = {name: entry for name, entry in pool.entries.items() if isinstance(entry, Entry)}
    tables = {name: entry for name, entry in pool.entries.items() if isinstance(entry, Shape)}
    return Shape(
        "A model: its agent, and the pool of replicas that serves it.",
        {**agent.entries, **flat, **tables, "isolation": shape_of(IsolationSpec), "pod": shape_of(PodSpec)},
        is_named=True,
    )


_CAPACITY = Shape(
    "What replicas may take of this machine, all together. What is left out is measured at the start.",
    {
        "memory": Entry(int, Setting("Memory (0: what is free at the start, less a reserve).", "bytes", minimum=0), 0),
        "cores": Entry(float, Setting("Processor cores (0: those this process may use).", minimum=0), 0.0),
        "gpu_memory": Entry(int, Setting("GPU memory (0: none).", "bytes", minimum=0), 0),
    },
)

SERVICE = Shape(
    "The service itself.",
    {
        **shape_of(ServiceSpec).entries,
        "capacity": _CAPACITY,
        "models": _model_shape(),
        "keys": shape_of(KeySpec, is_named=True),
    },
)
"""The whole file."""
