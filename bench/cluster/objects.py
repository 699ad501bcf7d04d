"""Objects of a simulated API server: kept by place and name, changed by patches, followed from any version on.

Law: every change has a version of its own and is told to whoever follows its kind; what controllers do about it happens at once.
"""

import asyncio
import copy
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

Object: TypeAlias = dict[str, Any]
Told: TypeAlias = tuple[int, str, Object]


@dataclass(frozen=True, slots=True)
class Place:
    """Where objects of one kind are: group and version, plural, namespace (empty: of all of them)."""

    group: str
    kind: str
    namespace: str = ""

    @property
    def anywhere(self) -> "Place":
        """The same kind in every namespace."""
        return Place(self.group, self.kind)


class Controller(Protocol):
    """What acts on changes, as Kubernetes' own controllers do."""

    def changed(self, place: Place, changed: Object, *, is_gone: bool) -> None:
        """An object came, changed or is gone."""
        ...


class Objects:
    """All of them. `version` is the last change's."""

    def __init__(self) -> None:
        self.version = 1
        self.controllers: list[Controller] = []
        self._kept: defaultdict[Place, dict[tuple[str, str], Object]] = defaultdict(dict)
        self._log: defaultdict[Place, list[Told]] = defaultdict(list)
        self._news: defaultdict[Place, asyncio.Event] = defaultdict(asyncio.Event)

    def list(self, place: Place) -> list[Object]:
        """Return what is in a place."""
        kept = self._kept[place.anywhere]
        return [each for (namespace, _), each in kept.items() if place.namespace in {"", namespace}]

    def get(self, place: Place, name: str) -> Object | None:
        """Return one, if it is there."""
        return self._kept[place.anywhere].get((place.namespace, name))

    def put(self, place: Place, made: Object) -> Object:
        """Keep a new one."""
        metadata = made.setdefault("metadata", {})
        metadata["namespace"] = place.namespace
        metadata.setdefault("name", f"{metadata.get('generateName', '')}{self.version}")
        metadata.setdefault("uid", f"{self.version:08d}-0000-4000-8000-000000000000")
        metadata.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        metadata.setdefault("generation", 1)
        self._kept[place.anywhere][place.namespace, metadata["name"]] = made
        self._tell(place, "ADDED", made)
        return made

    def change(self, place: Place, name: str, patch: Object | Sequence[Object]) -> Object:
        """Merge a patch into one, or do its steps; a patch that changes nothing is no change."""
        kept = self._kept[place.anywhere][place.namespace, name]
        if not isinstance(patch, dict):
            changed = stepped(kept, patch)
        else:
            changed = merged(kept, {key: patch[key] for key in patch if key not in {"apiVersion", "kind"}})
        if changed == kept:
            return kept
        self._kept[place.anywhere][place.namespace, name] = changed
        self._tell(place, "MODIFIED", changed)
        return changed

    def remove(self, place: Place, name: str) -> None:
        """Take one away."""
        gone = self._kept[place.anywhere].pop((place.namespace, name))
        self._tell(place, "DELETED", gone)

    async def follow(self, place: Place, since: int, ends: float) -> AsyncIterator[tuple[str, Object]]:
        """Yield changes after a version until an instant of the loop's clock."""
        log, loop = self._log[place.anywhere], asyncio.get_running_loop()
        at = next((number for number, (version, _, _) in enumerate(log) if version > since), len(log))
        while (left_s := ends - loop.time()) > 0:
            while at < len(log):
                _, what, changed = log[at]
                at += 1
                if place.namespace in {"", changed["metadata"]["namespace"]}:
                    yield what, changed
            try:
                async with asyncio.timeout(left_s):
                    await self._news[place.anywhere].wait()
            except TimeoutError:
                return

    def _tell(self, place: Place, what: str, changed: Object) -> None:
        self.version += 1
        changed["metadata"]["resourceVersion"] = str(self.version)
        self._log[place.anywhere].append((self.version, what, copy.deepcopy(changed)))
        self._news.pop(place.anywhere, asyncio.Event()).set()
        for controller in self.controllers:
            controller.changed(place, changed, is_gone=what == "DELETED")


def merged(kept: Any, patch: Any) -> Any:
    """Merge a patch as JSON merge patches say; conditions go by their type, as strategic merges have them."""
    if not isinstance(patch, dict) or not isinstance(kept, dict):
        return copy.deepcopy(patch)
    out = dict(kept)
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        elif key == "conditions" and isinstance(value, list):
            by_type = {each["type"]: each for each in (*out.get(key, []), *value)}
            out[key] = list(by_type.values())
        else:
            out[key] = merged(out.get(key, {} if isinstance(value, dict) else None), value)
    return out


def stepped(kept: Object, steps: "Iterable[Object]") -> Object:
    """Do the steps of a JSON patch, as far as they add, replace and remove."""
    out: Object = copy.deepcopy(kept)
    for step in steps:
        *way, last = (part.replace("~1", "/").replace("~0", "~") for part in step["path"].strip("/").split("/"))
        at: Any = out
        for part in way:
            at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
        if step["op"] == "remove":
            at.pop(int(last) if isinstance(at, list) else last)
        elif step["op"] in {"add", "replace"} and isinstance(at, list):
            at.append(step["value"])
        elif step["op"] in {"add", "replace"}:
            at[last] = step["value"]
    return out


def matcher(labels: str, fields: str) -> Callable[[Object], bool]:
    """Return whether an object has all of these labels and fields, written `a=b,c=d`."""
    wanted, where = dict(_pairs(labels)), dict(_pairs(fields))

    def is_wanted(each: Object) -> bool:
        has = each["metadata"].get("labels", {})
        name = where.get("metadata.name")
        is_named = name is None or each["metadata"]["name"] == name
        return is_named and all(has.get(label) == value for label, value in wanted.items())

    return is_wanted


def _pairs(text: str) -> Iterable[tuple[str, str]]:
    return (tuple(term.split("=", 1)) for term in text.replace("==", "=").split(",") if "=" in term)  # type: ignore[misc]
