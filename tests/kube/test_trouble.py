"""What an API server's refusals mean: told in a sentence, tried again in time, never with a credential in it."""

import asyncio

import httpx2
import pytest
from lightkube.core.exceptions import ApiError
from lightkube.models.meta_v1 import Status

from toque.kube.trouble import Backoff, explain, is_conflict, is_gone, is_hopeless, retry_after_s, status_of

REQUEST = httpx2.Request("GET", "https://127.0.0.1/", headers={"authorization": "Bearer canary"})


def refused(status: int, **headers: str) -> httpx2.HTTPStatusError:
    return httpx2.HTTPStatusError("no", request=REQUEST, response=httpx2.Response(status, headers=headers))


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (refused(429), 429, "asks for fewer calls"),
        (refused(401), 401, "does not know our credentials"),
        (ApiError(status=Status(code=403, message="pods is forbidden")), 403, "pods is forbidden (403)"),
        (httpx2.ConnectError("Bearer canary"), 0, "cannot be reached"),
        (refused(418), 418, "(418)"),
    ],
)
def test_a_refusal_is_a_sentence_without_credentials(error: Exception, status: int, sentence: str) -> None:
    assert status_of(error) == status
    assert sentence in explain(error)
    assert "canary" not in explain(error)


def test_what_passes_by_itself_is_told_from_what_does_not() -> None:
    assert [is_hopeless(refused(status)) for status in (400, 403, 404, 422)] == [True] * 4
    assert [is_hopeless(refused(status)) for status in (401, 409, 410, 429, 500, 503)] == [False] * 6
    assert is_gone(refused(404))
    assert is_conflict(refused(409))


async def test_a_wait_is_as_long_as_the_server_asks_and_ends_with_who_waits() -> None:
    assert retry_after_s(refused(429, **{"retry-after": "7"})) == 7.0
    assert retry_after_s(refused(429, **{"retry-after": "soon"})) == 0.0
    closing = asyncio.Event()
    waiting = asyncio.create_task(Backoff(closing).pause(refused(429, **{"retry-after": "3600"})))
    closing.set()
    async with asyncio.timeout(5):
        await waiting
