"""A watch: what there is, followed through disconnects and lost history, and never taken for whole when it is not."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import httpx2
import lightkube
import pytest
from lightkube.core.exceptions import ApiError
from lightkube.models.meta_v1 import ObjectMeta, Status
from lightkube.resources.core_v1 import Pod

from tests.drivers.bench import until
from toque.kube.watch import Watch

GONE = ApiError(status=Status(code=410, message="too old resource version"))
LOST = httpx2.RemoteProtocolError("peer closed connection")


def pod(name: str) -> Pod:
    return Pod(metadata=ObjectMeta(name=name))


class Listing:
    """One answer to a list."""

    def __init__(self, pods: Sequence[Pod], version: str) -> None:
        self._pods = pods
        self.resourceVersion = version

    async def __aiter__(self) -> AsyncIterator[Pod]:
        for each in self._pods:
            yield each


class ScriptedServer:
    """Answers lists with these Pods, one after the other; a watch tells what is put into `changes`, errors too."""

    def __init__(self, *lists: Sequence[str] | Exception) -> None:
        self._lists = list(lists)
        self.changes: asyncio.Queue[tuple[str, Pod] | Exception] = asyncio.Queue()
        self.watched: list[str] = []

    def list(self, *_: object, **__: object) -> Listing:
        found = self._lists.pop(0)
        if isinstance(found, Exception):
            raise found
        return Listing([pod(name) for name in found], f"v{len(self.watched)}")

    async def watch(self, *_: object, resource_version: str, **__: object) -> AsyncIterator[tuple[str, Pod]]:
        self.watched.append(resource_version)
        while True:
            change = await self.changes.get()
            if isinstance(change, Exception):
                raise change
            yield change


class Bench:
    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.changed: list[str] = []
        self.turns: list[str] = []
        client = cast(lightkube.AsyncClient, server)
        self.watch = Watch(client, Pod, {"app": "toque"}, self.changed.append, self.turns.append)

    async def knows(self, *names: str) -> None:
        await until(lambda: self.watch.is_fresh and set(self.watch.objects) == set(names))


@asynccontextmanager
async def bench(*lists: Sequence[str] | Exception) -> AsyncIterator[Bench]:
    made = Bench(ScriptedServer(*lists))
    made.watch.open()
    try:
        yield made
    finally:
        await made.watch.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toque.kube.trouble.BACKOFF_S_MIN", 0.01)


async def test_what_comes_changes_and_goes_is_told_by_name() -> None:
    async with bench(["a"]) as made:
        await made.knows("a")
        made.server.changes.put_nowait(("ADDED", pod("b")))
        made.server.changes.put_nowait(("MODIFIED", pod("a")))
        made.server.changes.put_nowait(("DELETED", pod("a")))
        await made.knows("b")
        assert made.changed == ["a", "b", "a", "a"]
        assert made.turns == [""]


@pytest.mark.parametrize("error", [GONE, LOST])
async def test_after_an_error_everything_is_listed_anew_and_what_went_meanwhile_is_told(error: Exception) -> None:
    async with bench(["a", "b"], ["b", "c"]) as made:
        await made.knows("a", "b")
        made.server.changes.put_nowait(error)
        await made.knows("b", "c")
        assert sorted(made.changed[2:]) == ["a", "b", "c"]
        await until(lambda: made.server.watched == ["v0", "v1"])
        assert len(made.turns) == 3
        assert [bool(reason) for reason in made.turns] == [False, True, False]


async def test_it_is_stale_from_the_loss_until_the_next_list_is_whole() -> None:
    async with bench(["a"], LOST, LOST, ["a"]) as made:
        await made.knows("a")
        made.server.changes.put_nowait(LOST)
        await until(lambda: not made.watch.is_fresh)
        assert made.watch.stale_since is not None
        assert set(made.watch.objects) == {"a"}
        await made.knows("a")
        assert [bool(reason) for reason in made.turns] == [False, True, False]


async def test_nothing_is_known_before_the_first_list() -> None:
    async with bench(LOST, ["a"]) as made:
        assert not made.watch.is_fresh
        await made.knows("a")
        assert made.turns == ["the API server cannot be reached (RemoteProtocolError)", ""]
