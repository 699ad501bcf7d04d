"""The roll: which ModelPools there are, what each says, and what of that holds.

Law: pure. It goes by generations, so that seeing the same object again changes nothing; a pool that says what cannot be goes by
what was good last.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from toque.config.pools import agree, read_pool
from toque.model.agent_spec import ModelSpec
from toque.model.errors import ConfigError
from toque.model.service_spec import ServiceSpec

Manifest: TypeAlias = Mapping[str, Any]
"""An object of Kubernetes; its shape is the CRD's."""
Vet: TypeAlias = Callable[[ModelSpec], None]
"""Raises `ConfigError` for a model that nobody here could serve, though nothing is wrong with its settings."""


@dataclass(slots=True)
class Entry:
    """One ModelPool. `generation` is that of the spec that was read, `desired` what the status of a predecessor wanted.

    `model` is what it says now (None: nothing that could be), `good` what holds; `complaint` is why these differ. `status` is
    what was written last.
    """

    name: str
    uid: str
    generation: int
    model: ModelSpec | None = None
    good: ModelSpec | None = None
    misread: str = ""
    complaint: str = ""
    is_leaving: bool = False
    status: Manifest = field(default_factory=dict)

    @property
    def desired(self) -> int:
        """How many replicas whoever wrote the status wanted."""
        return int(self.status.get("desired") or 0)


class Roll:
    """`base` is what all pools have in common: the controller's own settings."""

    def __init__(self, base: ServiceSpec, vet: Vet) -> None:
        self._base = base
        self._vet = vet
        self.entries: dict[str, Entry] = {}
        self.changes = 0
        """How often anything on it became another."""

    def see(self, pool: Manifest) -> bool:
        """Take an object in; returns whether it says anything new."""
        about = pool["metadata"]
        name, uid, generation = str(about["name"]), str(about["uid"]), int(about.get("generation") or 0)
        is_leaving = about.get("deletionTimestamp") is not None
        entry = self.entries.get(name)
        if entry is None or entry.uid != uid:
            entry = Entry(
                name, uid, -1, good=entry.good if entry is not None else None, status=pool.get("status") or {}
            )
            self.entries[name] = entry
        if generation <= entry.generation and is_leaving == entry.is_leaving:
            return False
        if generation > entry.generation:
            self._read(entry, pool.get("spec") or {})
        entry.generation = max(generation, entry.generation)
        entry.is_leaving = entry.is_leaving or is_leaving
        self.changes += 1
        return True

    def call(self, pools: list[Manifest]) -> bool:
        """Take all there are: whoever is on the roll and not among them is gone. Returns whether that says anything new."""
        there = {str(pool["metadata"]["name"]) for pool in pools}
        gone = [name for name in self.entries if name not in there]
        for name in gone:
            del self.entries[name]
        self.changes += len(gone)
        news = [self.see(pool) for pool in pools]
        return any(news) or bool(gone)

    def leave(self, name: str) -> bool:
        """One is to go: it is served no more. Returns whether that is news."""
        entry = self.entries.get(name)
        if entry is None or entry.is_leaving:
            return False
        entry.is_leaving = True
        self.changes += 1
        return True

    def strike(self, name: str) -> None:
        """One is gone."""
        self.entries.pop(name, None)
        self.changes += 1

    def agree(self) -> ServiceSpec:
        """Return the service that all pools come to, and note who was not taken at their word, and why."""
        staying = {name: entry for name, entry in self.entries.items() if not entry.is_leaving}
        wanted = {name: [m for m in (entry.model, entry.good) if m is not None] for name, entry in staying.items()}
        agreement = agree(self._base, wanted)
        held = {model.pool.name: model for model in agreement.models}
        for name, entry in staying.items():
            entry.good = held.get(name)
            entry.complaint = entry.misread or agreement.complaints.get(name, "")
        self.changes += 1
        return replace(self._base, models=agreement.models)

    def _read(self, entry: Entry, spec: Manifest) -> None:
        entry.misread, entry.model = "", None
        try:
            model = read_pool(entry.name, spec)
            self._vet(model)
        except ConfigError as error:
            entry.misread = " ".join(
                part for part in (f"{error.where}:" if error.where else "", error.message, error.fix) if part
            )
        else:
            entry.model = model
