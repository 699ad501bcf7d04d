"""The Files and Batches API, as OpenAI's SDK knows it.

Law: a caller sees its own files and batches only; those of others are not there. Everything that touches the store runs
on the desk's thread.
"""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from typing import Annotated, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from toque.batch.desk import Desk
from toque.batch.files import FileShelf
from toque.batch.identity import is_id
from toque.batch.jobs import JobStore
from toque.batch.shown import Json, show_batch, show_file, show_list
from toque.batch.upload import read_upload
from toque.model.batch import Batch, BatchOrder, Purpose, StoredFile
from toque.model.errors import CallerError, ToqueError
from toque.wire.errors import encode_error_body, retry_fields

ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
WINDOWS_S = {"1h": 3600, "4h": 4 * 3600, "24h": 24 * 3600, "7d": 7 * 24 * 3600}
"""Completion windows; OpenAI has 24h, the others are ours."""
PAGE_MAX = 10_000
METADATA_MAX = 16

_T = TypeVar("_T")
_encode = msgspec.json.Encoder().encode


class _BatchBody(msgspec.Struct):
    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[Annotated[str, msgspec.Meta(max_length=64)], Annotated[str, msgspec.Meta(max_length=512)]] | None = (
        None
    )


_decode_batch = msgspec.json.Decoder(_BatchBody).decode


class BatchRoutes:
    """Answers for one desk. The tenant is in the request's state, put there by whoever checked the key."""

    def __init__(self, desk: Desk, store: JobStore, shelf: FileShelf) -> None:
        self._desk = desk
        self._store = store
        self._shelf = shelf

    def app(self) -> Starlette:
        """Return the routes as an application."""
        return Starlette(
            routes=[
                Route("/v1/files", self._upload, methods=["POST"]),
                Route("/v1/files", self._list_files, methods=["GET"]),
                Route("/v1/files/{id}", self._show_file, methods=["GET"]),
                Route("/v1/files/{id}", self._delete_file, methods=["DELETE"]),
                Route("/v1/files/{id}/content", self._download, methods=["GET"]),
                Route("/v1/batches", self._order, methods=["POST"]),
                Route("/v1/batches", self._list_batches, methods=["GET"]),
                Route("/v1/batches/{id}", self._show_batch, methods=["GET"]),
                Route("/v1/batches/{id}/cancel", self._cancel, methods=["POST"]),
            ],
            exception_handlers={ToqueError: _refuse, HTTPException: _refuse},
        )

    # ---- files

    async def _upload(self, request: Request) -> Response:
        body = await request.body()
        content_type = request.headers.get("content-type", "").encode("latin-1")
        stored = await self._desk.off_loop(self._keep, _tenant(request), content_type, body)
        return _answer(show_file(stored))

    def _keep(self, tenant: str, content_type: bytes, body: bytes) -> StoredFile:
        """Read a form and store its file. Blocks."""
        upload = read_upload(content_type, body)
        if upload.fields.get("purpose") != Purpose.BATCH.value:
            raise CallerError("The only `purpose` of an upload here is `batch`.", param="purpose")
        return self._shelf.put(tenant, Purpose.BATCH, upload.filename, [upload.content])

    async def _list_files(self, request: Request) -> Response:
        after, limit = _page(request, 10_000)
        found = await self._desk.off_loop(self._shelf.all_of, _tenant(request), after=after, limit=limit + 1)
        return _answer(show_list([show_file(stored) for stored in found[:limit]], has_more=len(found) > limit))

    async def _show_file(self, request: Request) -> Response:
        return _answer(show_file(await self._file(request)))

    async def _delete_file(self, request: Request) -> Response:
        stored = await self._file(request)
        await self._desk.off_loop(self._shelf.remove, stored.tenant, stored.id)
        return _answer({"id": stored.id, "object": "file", "deleted": True})

    async def _download(self, request: Request) -> Response:
        stored = await self._file(request)
        pieces = self._shelf.read(stored)

        async def content() -> AsyncGenerator[bytes, None]:
            while (piece := await self._desk.off_loop(_next, pieces)) is not None:
                yield piece

        length = {"content-length": str(stored.size_bytes)}
        return StreamingResponse(content(), media_type="application/octet-stream", headers=length)

    async def _file(self, request: Request) -> StoredFile:
        return await self._found("file", request, self._shelf.find)

    # ---- batches

    async def _order(self, request: Request) -> Response:
        order = _read_order(await request.body(), _tenant(request))
        if not is_id(order.input_file_id, "file") or not await self._desk.off_loop(
            self._shelf.find, order.tenant, order.input_file_id
        ):
            raise CallerError("There is no such file.", code="file_not_found", param="input_file_id")
        batch = await self._desk.off_loop(self._store.create, order)
        self._desk.look()
        return _answer(show_batch(batch))

    async def _list_batches(self, request: Request) -> Response:
        after, limit = _page(request, 20)
        found = await self._desk.off_loop(self._store.all_of, _tenant(request), after=after, limit=limit + 1)
        return _answer(show_list([show_batch(batch) for batch in found[:limit]], has_more=len(found) > limit))

    async def _show_batch(self, request: Request) -> Response:
        return _answer(show_batch(await self._batch(request)))

    async def _cancel(self, request: Request) -> Response:
        batch = await self._batch(request)
        cancelled = await self._desk.off_loop(self._store.cancel, batch.order.tenant, batch.id)
        self._desk.look()
        return _answer(show_batch(cancelled or batch))

    async def _batch(self, request: Request) -> Batch:
        return await self._found("batch", request, self._store.find)

    async def _found(self, kind: str, request: Request, find: Callable[[str, str], _T | None]) -> _T:
        """Return what the path names. Raises `CallerError` (404), also for another tenant's."""
        name = request.path_params["id"]
        found = await self._desk.off_loop(find, _tenant(request), name) if is_id(name, kind) else None
        if found is None:
            raise CallerError(f"There is no such {kind}.", status=404, code="not_found", param="id")
        return found


def _tenant(request: Request) -> str:
    tenant = request.state.tenant
    assert isinstance(tenant, str)
    return tenant


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
    return BatchOrder(tenant, asked.endpoint, asked.input_file_id, asked.completion_window, window_s, metadata)


def _page(request: Request, default: int) -> tuple[str, int]:
    """Read `after` and `limit`. Raises `CallerError`."""
    text = request.query_params.get("limit", str(default))
    if not text.isdigit() or not 1 <= int(text[:6]) <= PAGE_MAX:
        raise CallerError(f"`limit` must be a number from 1 to {PAGE_MAX}.", param="limit")
    return request.query_params.get("after", ""), int(text)


def _next(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)


def _answer(body: Json) -> Response:
    return Response(_encode(body), media_type="application/json")


def _refuse(_request: Request, failure: Exception) -> Response:
    """Write any refusal in the one shape."""
    if isinstance(failure, HTTPException):
        code = "method_not_allowed" if failure.status_code == 405 else "not_found"
        failure = CallerError("There is nothing at this path.", status=failure.status_code, code=code)
    assert isinstance(failure, ToqueError)
    headers = dict(line.split(": ", 1) for line in retry_fields(failure).decode("ascii").splitlines())
    return Response(encode_error_body(failure), failure.status, headers, "application/json")
