"""What the routes of files and of batches share: pages, refusals, whose request it is.

Law: whatever goes wrong is told in the one shape of errors.
"""

from typing import TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from toque.batch.identity import is_id
from toque.batch.shown import Json
from toque.model.errors import CallerError, ToqueError
from toque.wire.errors import encode_error_body, retry_fields

PAGE_MAX = 10_000

_T = TypeVar("_T")
_encode = msgspec.json.Encoder().encode


def tenant_of(request: Request) -> str:
    """Return whose request it is: whoever checked the key has put it there."""
    tenant = request.state.tenant
    assert isinstance(tenant, str)
    return tenant


def page_of(request: Request, kind: str, default: int) -> tuple[str, int]:
    """Read `after` and `limit`. Raises `CallerError`."""
    text = request.query_params.get("limit", str(default))
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:6]) <= PAGE_MAX:
        raise CallerError(f"`limit` must be a number from 1 to {PAGE_MAX}.", param="limit")
    after = request.query_params.get("after", "")
    if after and not is_id(after, kind):
        raise CallerError(f"`after` must be the id of a {kind}.", param="after")
    return after, int(text)


def named(request: Request, kind: str) -> str:
    """Return the id in the path. Raises `CallerError` (404) for what cannot be one."""
    name = str(request.path_params["id"])
    return name if is_id(name, kind) else found(None, kind)


def found(thing: _T | None, kind: str) -> _T:
    """Return what was looked for. Raises `CallerError` (404) for what is not there, also for another tenant's."""
    if thing is None:
        raise CallerError(f"There is no such {kind}.", status=404, code="not_found", param="id")
    return thing


def answer(body: Json) -> Response:
    """Answer with JSON."""
    return Response(_encode(body), media_type="application/json")


def refuse(_request: Request, failure: Exception) -> Response:
    """Write any refusal in the one shape."""
    if isinstance(failure, HTTPException):
        code = "method_not_allowed" if failure.status_code == 405 else "not_found"
        failure = CallerError("There is nothing at this path.", status=failure.status_code, code=code)
    assert isinstance(failure, ToqueError)
    headers = dict(line.split(": ", 1) for line in retry_fields(failure).decode("ascii").splitlines())
    return Response(encode_error_body(failure), failure.status, headers, "application/json")
