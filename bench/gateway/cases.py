"""What is asked of every gateway: the cases, and the bytes of their requests."""

import json
from dataclasses import dataclass

CHUNKS = 64
"""Chunks of 200 bytes in one streamed answer."""
LARGE_BYTES = 64 * 1024
MODEL = "mock"
KEY = "sk-bench-0123456789abcdef"
STAMP = "X-Request-Id: 000000000000\r\n"
"""The rig counts the number up (`rig/load.h`)."""


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of load.

    `pace_us` is the time between two chunks of a stream; 0: as fast as they are taken. `is_new`: each request has an id of
    its own, so that no two heads are equal; else a connection sends the same head again, as client libraries do. Over `spread_s`
    the connections begin, evenly; 0: all at once, so that streams of one length end and begin together ever after.
    """

    name: str
    connections: int
    streams: bool = False
    pace_us: int = 0
    body_bytes: int = 0
    is_new: bool = False
    spread_s: float = 0.0

    @property
    def unit(self) -> str:
        """What is counted."""
        return "chunk" if self.streams else "request"

    def request(self) -> bytes:
        """Head and body; the same for every gateway but for what a client library would add."""
        fields: dict[str, object] = {"model": MODEL}
        if self.streams:
            fields |= {"stream": True, "max_tokens": CHUNKS, "seed": self.pace_us}
        fields["messages"] = [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "Tell me something. " * (max(1, self.body_bytes // 19))},
        ]
        body = json.dumps(fields, separators=(",", ":")).encode()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n"
            f"Content-Type: application/json\r\nAuthorization: Bearer {KEY}\r\n{STAMP if self.is_new else ''}"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


CASES = (
    Case("plain, 1 connection", 1),
    Case("plain, 32", 32),
    Case("plain, 256", 256),
    Case("plain, 32, new heads", 32, is_new=True),
    Case("64 kB bodies, 32", 32, body_bytes=LARGE_BYTES),
    Case("streams, 32", 32, streams=True),
    Case("streams, 256", 256, streams=True),
    Case("streams at 5 ms, 256", 256, streams=True, pace_us=5000),
    Case("streams at 5 ms, 256, spread", 256, streams=True, pace_us=5000, spread_s=0.32),
    Case("streams at 20 ms, 1024", 1024, streams=True, pace_us=20_000),
)
QUICK = (CASES[0], CASES[1], CASES[5])
