"""The informer: kopf, watching the ModelPools of a namespace in a thread of its own, for as long as we lead.

Law: it only tells what is there; whoever listens runs on the other loop. kopf keeps the finalizer, and what it has seen of an object in
an annotation, so that a deletion waits until `gone` has returned, however often controllers change meanwhile.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import kopf

from toque.kube.connection import read_access
from toque.kube.words import FINALIZER
from toque.model.pod_spec import KubernetesSpec
from toque.model.pool_object import GROUP, PLURAL, VERSION
from toque.operator.roll import Manifest

JOIN_S = 5.0
"""kopf's end may take this long; it only watches, so nobody needs to wait for it."""
AGAIN_S = 5.0
"""Between two tries of what failed: a deletion whose replicas could not be removed, or kopf itself."""
SERVER_TIMEOUT_S = 240
"""The server ends a watch after this, and it is resumed: so it is spread over API servers that came later."""


class _Always:
    """Waits between tries to reach the API server, without end: that it is away is no reason to watch no more."""

    def __iter__(self) -> Iterator[float]:
        yield from (0.5, 1.0, 2.0)
        while True:
            yield 5.0


class Informer:
    """Opened once, and closed."""

    def __init__(
        self,
        spec: KubernetesSpec,
        namespace: str,
        environment: Mapping[str, str],
    ) -> None:
        self._spec = spec
        self._namespace = namespace
        self._environment = environment
        self._loop = asyncio.get_running_loop()
        self._seen: Callable[[Manifest], None] = lambda _: None
        self._gone: Callable[[str], Awaitable[None]] | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)

    def open(self, seen: Callable[[Manifest], None], gone: Callable[[str], Awaitable[None]]) -> None:
        """Begin. `seen` is called with every object that came or changed; `gone` with the name of one that is to go, and awaited."""
        self._seen, self._gone = seen, gone
        self._thread.start()

    def stop(self) -> None:
        """Begin to end, at once."""
        self._closing.set()

    async def close(self) -> None:
        """End."""
        self.stop()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, JOIN_S)

    def _run(self) -> None:
        logging.getLogger("kopf").setLevel(logging.ERROR)  # what it warns of, it does something about
        while not self._closing.is_set():
            asyncio.run(self._watch())
            self._closing.wait(AGAIN_S)

    async def _watch(self) -> None:
        operator = kopf.operator(
            registry=self._registry(),
            settings=_settings(),
            namespaces=[self._namespace],
            standalone=True,
            stop_flag=self._closing,
        )
        try:
            await operator
        except Exception as error:
            context = {"message": "Watching ModelPools failed", "exception": error}
            self._loop.call_soon_threadsafe(self._loop.call_exception_handler, context)

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        async def login(**_: Any) -> kopf.ConnectionInfo:
            return kopf.ConnectionInfo(**asdict(read_access(self._spec, self._environment)))

        async def noticed(body: kopf.Body, **_: Any) -> None:
            self._loop.call_soon_threadsafe(self._seen, dict(body))

        async def deleted(name: str, **_: Any) -> None:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._ended(name), self._loop))

        kopf.on.login(registry=registry)(login)
        for when in (kopf.on.resume, kopf.on.create, kopf.on.update):
            when(GROUP, VERSION, PLURAL, registry=registry)(noticed)
        kopf.on.delete(GROUP, VERSION, PLURAL, registry=registry)(deleted)
        return registry

    async def _ended(self, name: str) -> None:
        assert self._gone is not None
        await self._gone(name)


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # what people should know stands in the status and in Events of ours
    settings.scanning.disabled = True  # no right to look at all definitions is needed
    settings.persistence.finalizer = FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    settings.networking.error_backoffs = _Always()
    settings.watching.server_timeout = SERVER_TIMEOUT_S
    settings.execution.default_backoff = AGAIN_S
    return settings
