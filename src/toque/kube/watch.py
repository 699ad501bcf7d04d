"""A watch: what there is of one kind in a namespace, followed for as long as it is open.

Law: between two lists nothing is missed. An orderly end is resumed from the last resource version; after any error, 410 Gone too,
everything is listed anew, for only a list tells that nothing was missed. Until then `stale_since` says so, and whoever decides
by `objects` must not.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Generic, Protocol, TypeVar, cast

import lightkube
from lightkube.core.client import LabelSelector
from lightkube.core.resource import NamespacedResource
from lightkube.models.meta_v1 import ObjectMeta

from toque.kube.trouble import TROUBLE, Backoff, explain

CHUNK = 500
"""Objects in one answer to a list."""
SERVER_TIMEOUT_S = 240
"""The server ends a watch after this, and it is resumed: so it is spread over API servers that came later."""


_T = TypeVar("_T", bound=NamespacedResource)


class Watch(Generic[_T]):
    """Objects of `kind` with these labels. `objects` is what is there, by name, as last heard.

    `changed` is called with a name whenever that object came, changed, or is not there any more; `turned` whenever the watch
    becomes stale (with the reason) or, after a whole list, fresh (empty). Both on the event loop; neither may raise.
    """

    def __init__(
        self,
        client: lightkube.AsyncClient,
        kind: type[_T],
        labels: Mapping[str, str],
        changed: Callable[[str], None],
        turned: Callable[[str], None],
    ) -> None:
        self._client = client
        self._kind = kind
        self._labels: LabelSelector = dict(labels)
        self._changed = changed
        self._turned = turned
        self._closing = asyncio.Event()
        self._backoff = Backoff(self._closing)
        self._clock = asyncio.get_running_loop().time
        self._task: asyncio.Task[None] | None = None
        self._reason: str | None = None
        self.objects: dict[str, _T] = {}
        self.stale_since: float | None = self._clock()
        """Since when (of the loop's clock) changes may have been missed; None while none are."""

    @property
    def is_fresh(self) -> bool:
        """Whether `objects` is what is there."""
        return self.stale_since is None

    def open(self) -> None:
        """Begin to follow."""
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Follow no more."""
        self._closing.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        while not self._closing.is_set():
            try:
                await self._stay(await self._list())
            except TROUBLE as error:
                self._turn(explain(error))
                await self._backoff.pause(error)

    async def _list(self) -> str:
        """Learn what is there; returns the resource version of that."""
        found: dict[str, _T] = {}
        listing = self._client.list(self._kind, labels=self._labels, chunk_size=CHUNK)
        async for each in listing:
            found[name_of(each)] = each
        names = [*found, *(self.objects.keys() - found.keys())]
        self.objects = found
        self._backoff.reset()
        for name in names:
            self._changed(name)
        self._turn("")
        return listing.resourceVersion

    async def _stay(self, version: str) -> None:
        """Take changes in until there is trouble."""
        changes = self._client.watch(
            self._kind, labels=self._labels, resource_version=version, server_timeout=SERVER_TIMEOUT_S
        )
        async with aclosing(cast(AsyncGenerator[tuple[str, _T], None], changes)) as changes:
            async for what, changed in changes:
                name = name_of(changed)
                if what == "DELETED":
                    self.objects.pop(name, None)
                else:
                    self.objects[name] = changed
                self._changed(name)

    def _turn(self, reason: str) -> None:
        if not reason:
            self.stale_since = None
        elif self.stale_since is None:
            self.stale_since = self._clock()
        if reason != self._reason:
            self._reason = reason
            self._turned(reason)


def name_of(thing: NamespacedResource) -> str:
    """Return an object's name."""
    return cast("_Named", thing).metadata.name or ""


class _Named(Protocol):
    """What every object of Kubernetes has."""

    metadata: ObjectMeta
