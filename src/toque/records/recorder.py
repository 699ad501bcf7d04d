"""The traffic recorder: the line of a request that `toque simulate` reads back as an arrival.

Law: lengths, timings, class and model only. No text, no request id, and of the tenant a hash salted anew at every start, so that
requests of one tenant can be told to belong together and no more.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

import msgspec

from toque.records.access import AccessLog
from toque.records.access_line import line_of
from toque.records.served import Served

SALT_BYTES = 16
TENANT_BYTES = 8


class Traffic(msgspec.Struct, gc=False, rename={"service_class": "class"}):
    """One request as it is recorded; written when it ended, so it arrived `duration_ms` before its line's time."""

    model: str
    service_class: str
    tenant: str
    status: int
    queue_wait_ms: float
    ttft_ms: float
    duration_ms: float
    prompt_tokens: int
    output_tokens: int


class TrafficLine:
    """Makes lines for an `AccessLog`; `salt` is `SALT_BYTES` of chance."""

    def __init__(self, salt: bytes) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._tenant = lru_cache(maxsize=1024)(lambda name: _hashed(name, salt))

    def __call__(self, at: float, served: Served) -> bytes:
        """Return the line; empty for what never became a ticket and so asked for no replica."""
        if not served.ticket:
            return b""
        traffic = Traffic(
            served.asked or served.model,
            served.service_class,
            self._tenant(served.tenant),
            served.status,
            served.queue_wait_us / 1000,
            served.ttft_us / 1000,
            served.duration_us / 1000,
            served.prompt_tokens,
            served.output_tokens,
        )
        return line_of(at, self._encode(traffic))


class Logs:
    """Several logs of the same requests, such as access lines and recorded traffic."""

    def __init__(self, logs: Sequence[AccessLog]) -> None:
        self._logs = logs

    def write(self, served: Served) -> None:
        """Keep one line in each."""
        for log in self._logs:
            log.write(served)


def _hashed(name: str, salt: bytes) -> str:
    return blake2b(name.encode(), key=salt, digest_size=TENANT_BYTES).hexdigest() if name else ""
