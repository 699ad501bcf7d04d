"""What an API server's refusals mean, in one place: whether to try again, when, and how it is told to a person.

Law: only what cannot pass by itself is an error of the settings; everything else is tried again, later each time, never in step
with others. No message contains a credential.
"""

import asyncio
import random
from http import HTTPStatus

import httpx2
from lightkube.core.exceptions import ApiError
from lightkube.core.exceptions import ConfigError as BadKubeconfig

TROUBLE = (httpx2.HTTPError, httpx2.StreamError, BadKubeconfig, OSError, ValueError)
"""What a call of the client may raise. `ValueError`: an answer that is not Kubernetes'."""

BACKOFF_S_MIN = 0.5
BACKOFF_S_MAX = 10.0
"""An API server that comes back is noticed within this."""
_HOPELESS = {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY}


class FencedError(httpx2.TransportError):
    """A call that would change something was not made: we may not, now."""


def status_of(error: Exception) -> int:
    """Return the HTTP status that an error came with; 0 where nothing answered."""
    if isinstance(error, ApiError) and error.status is not None:
        return error.status.code or 0
    return error.response.status_code if isinstance(error, httpx2.HTTPStatusError) else 0


def is_gone(error: Exception) -> bool:
    """Whether what was asked for is not there (any more)."""
    return status_of(error) == HTTPStatus.NOT_FOUND


def is_conflict(error: Exception) -> bool:
    """Whether somebody else was faster: it is there already, or has changed meanwhile."""
    return status_of(error) == HTTPStatus.CONFLICT


def is_hopeless(error: Exception) -> bool:
    """Whether the same call will fail again, so that a person or the core has to do something."""
    return status_of(error) in _HOPELESS


def explain(error: Exception) -> str:
    """Say in one sentence what went wrong."""
    match status_of(error):
        case _ if isinstance(error, FencedError):
            return "this controller may change nothing now: it may lead no more"
        case 0:
            return f"the API server cannot be reached ({type(error).__name__})"
        case HTTPStatus.UNAUTHORIZED:
            return "the API server does not know our credentials (401)"
        case HTTPStatus.TOO_MANY_REQUESTS:
            return "the API server asks for fewer calls (429)"
        case status:
            said = error.status.message if isinstance(error, ApiError) and error.status is not None else ""
            return f"the API server says: {said or HTTPStatus(status).phrase} ({status})"


def retry_after_s(error: Exception) -> float:
    """Return the seconds that an answer asked for before the next call; 0 where it did not."""
    response = error.response if isinstance(error, httpx2.HTTPStatusError) else None
    told = response.headers.get("retry-after", "") if response is not None else ""
    return float(told) if told.isascii() and told.isdecimal() else 0.0


_RANDOM = random.Random()  # noqa: S311 - spreads calls, hides nothing


class Backoff:
    """Waits that double up to BACKOFF_S_MAX, each half as long again at most or half as short; `close` ends them all."""

    def __init__(self, closing: asyncio.Event) -> None:
        self._closing = closing
        self._failures = 0

    def reset(self) -> None:
        """It went well: the next wait is short again."""
        self._failures = 0

    async def pause(self, error: Exception) -> None:
        """Wait before the next try; returns at once when closing."""
        wait_s = min(BACKOFF_S_MIN * 2.0 ** min(self._failures, 10), BACKOFF_S_MAX) * _RANDOM.uniform(0.5, 1.5)
        self._failures += 1
        try:
            async with asyncio.timeout(max(wait_s, retry_after_s(error))):
                await self._closing.wait()
        except TimeoutError:
            return
