"""Calls to a running toque over HTTP, from a command that has nothing else to do meanwhile.

Law: an answer that is an error is raised with its own message; nobody there is `NotRunningError` with the way out.
"""

import http.client
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias, cast
from urllib.parse import urlsplit

from toque.cli.exits import NotRunningError
from toque.model.agent_spec import Secret
from toque.model.errors import ConfigError, UpstreamError

TIMEOUT_S = 600.0
"""A held request may wait for a cold model; the service's own limits end it earlier."""
ANSWER_BYTES_MAX = 64 * 2**20
Body: TypeAlias = bytes | Iterable[bytes] | None


@dataclass(frozen=True, slots=True)
class Service:
    """A service at a URL. `advice` is the end of the sentence said when nobody answers there.

    `mark` begins the request ids of all its answers, where that tells it from others; empty where nothing does.
    """

    url: str
    advice: str
    key: Secret | None = None
    mark: str = ""

    def get(self, path: str) -> Mapping[str, object]:
        """Fetch a JSON object. Raises `NotRunningError`, and `UpstreamError` for an answer that is an error."""
        with self.ask("GET", path) as answer:
            return _object(answer.read(ANSWER_BYTES_MAX))

    def post(self, path: str, content: Mapping[str, object] | None = None) -> Mapping[str, object]:
        """Send a JSON object and return the one that answers. Raises as `get`."""
        with self.ask("POST", path, content) as answer:
            return _object(answer.read(ANSWER_BYTES_MAX))

    def upload(self, path: str, form: Iterable[bytes], length: int, content_type: str) -> Mapping[str, object]:
        """Send a form of `length` bytes piece by piece, and return the JSON object that answers. Raises as `get`."""
        with self._answered("POST", path, form, content_type, {"content-length": str(length)}) as answer:
            return _object(answer.read(ANSWER_BYTES_MAX))

    @contextmanager
    def ask(
        self, method: str, path: str, content: Mapping[str, object] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request and hand out its answer, to be read while it arrives; closes the connection in the end."""
        body = None if content is None else json.dumps(content).encode()
        with self._answered(method, path, body, "application/json") as answer:
            yield answer

    @contextmanager
    def _answered(
        self, method: str, path: str, body: Body, content_type: str, fields: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection()
        try:
            answer = self._send(connection, method, path, body, {"content-type": content_type, **fields})
            if answer.status >= 400:
                self._check_mark(answer)
                raise _refusal(answer)
            yield answer
        except (http.client.HTTPException, OSError) as error:
            raise UpstreamError("The connection was lost in the middle of an answer. `toque ps` says more.") from error
        finally:
            connection.close()

    def _check_mark(self, answer: http.client.HTTPResponse) -> None:
        if not answer.headers.get("x-request-id", "").startswith(self.mark):
            raise ConfigError(f"{self.url} answers, but it is not what this command asks.", fix=self.advice)

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url if "://" in self.url else f"http://{self.url}")
        kinds: Mapping[str, type[http.client.HTTPConnection]] = {
            "http": http.client.HTTPConnection,
            "https": http.client.HTTPSConnection,
        }
        try:
            return kinds[parts.scheme](parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        except (KeyError, ValueError) as error:
            raise ConfigError(f"{self.url!r} is no URL of a service", fix="write http://HOST:PORT") from error

    def _send(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: Body, fields: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        headers = dict(fields) if body is not None else {}
        if self.key is not None:
            headers["authorization"] = f"Bearer {self.key.reveal()}"
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # refused while we still send: the answer says why
                connection.request(method, path, body, headers)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise NotRunningError(f"No toque answers at {self.url}. {self.advice}") from error


def _refusal(answer: http.client.HTTPResponse) -> UpstreamError:
    """Turn an error of the service into ours, in its own words."""
    try:
        error = cast(Mapping[str, str], _object(answer.read(ANSWER_BYTES_MAX))["error"])
        return UpstreamError(error["message"], status=answer.status, code=error.get("code") or "")
    except (KeyError, TypeError, UpstreamError):
        return UpstreamError(f"The answer was HTTP {answer.status}, and not one of toque's.", status=answer.status)


def _object(body: bytes) -> Mapping[str, object]:
    try:
        content: object = json.loads(body)
    except ValueError as error:
        raise UpstreamError("The answer is not JSON: is it a toque that listens there?") from error
    if not isinstance(content, dict):
        raise UpstreamError("The answer is not a JSON object: is it a toque that listens there?")
    return content
