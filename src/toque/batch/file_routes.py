"""The Files API, as OpenAI's SDK knows it: uploads and downloads of any size, piece by piece.

Law: of a file on its way no more than a few pieces are held, whoever is slow; an upload that ends early leaves nothing.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from toque.batch.desk import Desk
from toque.batch.files import Draft, FileShelf
from toque.batch.pages import answer, found, named, page_of, tenant_of
from toque.batch.shown import show_file, show_list
from toque.batch.upload import FRAMING_BYTES_MAX, Form, Sink
from toque.model.batch import LIFE_S, LIFE_S_MAX, LIFE_S_MIN, Purpose, StoredFile
from toque.model.errors import CallerError

PATH = "/v1/files"
UPLOADS_MAX = 8
"""Uploads at once: each holds some 4 MiB, and they share one thread to the store."""
UPLOAD_S_MAX = 3600
"""A whole upload: less than a draft may be old."""
PURPOSES = frozenset(purpose.value for purpose in Purpose)


class FileRoutes:
    """Answers for one desk. `file_bytes_max`: an upload's file at most."""

    def __init__(self, desk: Desk, shelf: FileShelf, file_bytes_max: int) -> None:
        self._desk = desk
        self._shelf = shelf
        self._file_bytes_max = file_bytes_max
        self._uploads = 0

    @property
    def streamed(self) -> dict[bytes, int]:
        """Which paths want their bodies while they come, and how large these may be."""
        return {PATH.encode("ascii"): self._file_bytes_max + FRAMING_BYTES_MAX}

    def routes(self) -> list[Route]:
        """Return what it answers."""
        return [
            Route(PATH, self._upload, methods=["POST"]),
            Route(PATH, self._list, methods=["GET"]),
            Route(f"{PATH}/{{id}}", self._show, methods=["GET"]),
            Route(f"{PATH}/{{id}}", self._delete, methods=["DELETE"]),
            Route(f"{PATH}/{{id}}/content", self._download, methods=["GET"]),
        ]

    async def _upload(self, request: Request) -> Response:
        if self._uploads == UPLOADS_MAX:
            raise CallerError(
                f"{UPLOADS_MAX} uploads are under way. Try again after Retry-After.",
                status=503,
                error_type="service_unavailable_error",
                code="server_is_overloaded",
                retry_after_s=1.0,
            )
        self._uploads += 1
        try:
            return answer(show_file(await self._receive(request)))
        finally:
            self._uploads -= 1

    async def _receive(self, request: Request) -> StoredFile:
        upload = _Upload(self._shelf, tenant_of(request), self._file_bytes_max)
        form = Form(request.headers.get("content-type", "").encode("latin-1"), upload.begin)
        try:
            async with asyncio.timeout(UPLOAD_S_MAX):
                async for piece in request.stream():
                    await self._desk.off_loop(form.feed, piece)
            return await self._desk.off_loop(lambda: upload.keep(form))
        except TimeoutError:
            reason = f"An upload may take {UPLOAD_S_MAX} s."
            raise CallerError(reason, status=408, code="request_timeout") from None
        finally:
            self._desk.soon(upload.discard)

    async def _list(self, request: Request) -> Response:
        after, limit = page_of(request, "file", 10_000)
        order = request.query_params.get("order", "desc")
        if order not in {"asc", "desc"}:
            raise CallerError("`order` must be asc or desc.", param="order")
        purpose = request.query_params.get("purpose", "")
        if purpose and purpose not in PURPOSES:
            return answer(show_list([], has_more=False))
        files = await self._desk.off_loop(
            self._shelf.all_of,
            tenant_of(request),
            after=after,
            limit=limit + 1,
            purpose=purpose,
            oldest_first=order == "asc",
        )
        return answer(show_list([show_file(stored) for stored in files[:limit]], has_more=len(files) > limit))

    async def _show(self, request: Request) -> Response:
        return answer(show_file(await self._file(request)))

    async def _delete(self, request: Request) -> Response:
        stored = await self._file(request)
        await self._desk.off_loop(self._shelf.remove, stored.tenant, stored.id)
        return answer({"id": stored.id, "object": "file", "deleted": True})

    async def _download(self, request: Request) -> Response:
        stored = await self._file(request)
        pieces = self._shelf.read(stored)

        async def content() -> AsyncGenerator[bytes, None]:
            while (piece := await self._desk.off_loop(_next, pieces)) is not None:
                yield piece

        length = {"content-length": str(stored.size_bytes)}
        return StreamingResponse(content(), media_type="application/octet-stream", headers=length)

    async def _file(self, request: Request) -> StoredFile:
        name = named(request, "file")
        return found(await self._desk.off_loop(self._shelf.find, tenant_of(request), name), "file")


class _Upload:
    """A file on its way into the store. Everything here blocks, on the desk's thread."""

    def __init__(self, shelf: FileShelf, tenant: str, bytes_max: int) -> None:
        self._shelf = shelf
        self._tenant = tenant
        self._bytes_max = bytes_max
        self._draft: Draft | None = None

    def begin(self, filename: str) -> Sink:
        """Begin the file; what is returned takes its bytes, and raises `CallerError` at one too many."""
        draft = self._draft = self._shelf.draft(self._tenant, Purpose.BATCH, filename)

        def take(content: bytes) -> None:
            if draft.size_bytes + len(content) > self._bytes_max:
                reason = f"A file may have {self._bytes_max} bytes."
                raise CallerError(reason, status=413, code="request_too_large", param="file")
            draft.write(content)

        return take

    def keep(self, form: Form) -> StoredFile:
        """Let the file be seen. Raises `CallerError` for a form that is not whole, or not what it must be."""
        fields = form.finish()
        draft = self._draft
        assert draft is not None, "a whole form has a file"
        if fields.get("purpose") != Purpose.BATCH.value:
            raise CallerError("The only `purpose` of an upload here is `batch`.", param="purpose")
        draft.life_s = read_life(fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]"))
        draft.finish()
        stored = self._shelf.publish(draft)
        self._draft = None
        return stored

    def discard(self) -> None:
        """Leave nothing of a file that is not kept."""
        if self._draft is not None:
            self._draft.discard()


def read_life(anchor: str | None, seconds: str | None) -> int:
    """Read after how many seconds a file shall expire; without a word, after thirty days. Raises `CallerError`."""
    if anchor is None and seconds is None:
        return LIFE_S
    if anchor != "created_at":
        raise CallerError("`expires_after[anchor]` must be created_at.", param="expires_after[anchor]")
    try:
        life_s = msgspec.convert(seconds, int, strict=False)
    except msgspec.ValidationError:
        life_s = 0
    if not LIFE_S_MIN <= life_s <= LIFE_S_MAX:
        reason = f"`expires_after[seconds]` must be a number from {LIFE_S_MIN} to {LIFE_S_MAX}."
        raise CallerError(reason, param="expires_after[seconds]")
    return life_s


def _next(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)
