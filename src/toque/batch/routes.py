"""The Batches API, as OpenAI's SDK knows it, and with it that of files.

Law: a caller sees its own files and batches only; those of others are not there. Everything that touches the store runs
on the desk's thread.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from toque.batch.desk import Desk
from toque.batch.file_routes import FileRoutes
from toque.batch.files import FileShelf
from toque.batch.identity import is_id
from toque.batch.jobs import JobStore
from toque.batch.pages import answer, found, named, page_of, refuse, tenant_of
from toque.batch.shown import show_batch, show_list
from toque.model.batch import LIFE_S, LIFE_S_MAX, LIFE_S_MIN, Batch, BatchOrder
from toque.model.errors import CallerError, ToqueError

PATH = "/v1/batches"
ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
WINDOWS_S = {"1h": 3600, "4h": 4 * 3600, "24h": 24 * 3600, "7d": 7 * 24 * 3600}
"""Completion windows; OpenAI has 24h, the others are ours."""
METADATA_MAX = 16


class _ExpiresAfter(msgspec.Struct):
    anchor: Literal["created_at"]
    seconds: Annotated[int, msgspec.Meta(ge=LIFE_S_MIN, le=LIFE_S_MAX)]


class _BatchBody(msgspec.Struct):
    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[Annotated[str, msgspec.Meta(max_length=64)], Annotated[str, msgspec.Meta(max_length=512)]] | None = (
        None
    )
    output_expires_after: _ExpiresAfter | None = None


_decode_batch = msgspec.json.Decoder(_BatchBody).decode


class BatchRoutes:
    """Answers for one desk. The tenant is in the request's state, put there by whoever checked the key."""

    def __init__(self, desk: Desk, store: JobStore, shelf: FileShelf, *, file_bytes_max: int) -> None:
        self._desk = desk
        self._store = store
        self._shelf = shelf
        self._files = FileRoutes(desk, shelf, file_bytes_max)

    @property
    def streamed(self) -> Mapping[bytes, int]:
        """Which paths want their bodies while they come, and how large these may be."""
        return self._files.streamed

    def app(self) -> Starlette:
        """Return the routes as an application."""
        return Starlette(
            routes=[
                *self._files.routes(),
                Route(PATH, self._order, methods=["POST"]),
                Route(PATH, self._list, methods=["GET"]),
                Route(f"{PATH}/{{id}}", self._show, methods=["GET"]),
                Route(f"{PATH}/{{id}}/cancel", self._cancel, methods=["POST"]),
            ],
            exception_handlers={ToqueError: refuse, HTTPException: refuse},
        )

    async def _order(self, request: Request) -> Response:
        order = _read_order(await request.body(), tenant_of(request))
        if not is_id(order.input_file_id, "file") or not await self._desk.off_loop(
            self._shelf.find, order.tenant, order.input_file_id
        ):
            raise CallerError("There is no such file.", code="file_not_found", param="input_file_id")
        batch = await self._desk.off_loop(self._store.create, order)
        self._desk.look()
        return answer(show_batch(batch))

    async def _list(self, request: Request) -> Response:
        after, limit = page_of(request, "batch", 20)
        batches = await self._desk.off_loop(self._store.all_of, tenant_of(request), after=after, limit=limit + 1)
        return answer(show_list([show_batch(batch) for batch in batches[:limit]], has_more=len(batches) > limit))

    async def _show(self, request: Request) -> Response:
        return answer(show_batch(await self._batch(request)))

    async def _cancel(self, request: Request) -> Response:
        batch = await self._batch(request)
        cancelled = await self._desk.off_loop(self._store.cancel, batch.order.tenant, batch.id)
        self._desk.look()
        return answer(show_batch(cancelled or batch))

    async def _batch(self, request: Request) -> Batch:
        name = named(request, "batch")
        return found(await self._desk.off_loop(self._store.find, tenant_of(request), name), "batch")


def _read_order(body: bytes, tenant: str) -> BatchOrder:
    try:
        asked = _decode_batch(body)
    except msgspec.ValidationError as error:
        raise CallerError(f"The request body is invalid: {error}.") from None
    except (msgspec.DecodeError, RecursionError):
        raise CallerError("The request body is not valid JSON in UTF-8.", code="invalid_json") from None
    if asked.endpoint not in ENDPOINTS:
        raise CallerError(f"`endpoint` must be one of {', '.join(ENDPOINTS)}.", param="endpoint")
    window_s = WINDOWS_S.get(asked.completion_window)
    if window_s is None:
        raise CallerError(f"`completion_window` must be one of {', '.join(WINDOWS_S)}.", param="completion_window")
    metadata: Mapping[str, str] = asked.metadata or {}
    if len(metadata) > METADATA_MAX:
        raise CallerError(f"`metadata` may have {METADATA_MAX} entries.", param="metadata")
    life_s = asked.output_expires_after.seconds if asked.output_expires_after else LIFE_S
    return BatchOrder(tenant, asked.endpoint, asked.input_file_id, asked.completion_window, window_s, metadata, life_s)
