"""An access line in its two forms: JSON for programs, words for a person at a terminal.

Law: both are made of `Served` alone, in which a client can write nothing but a checked request id; each is one line.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from toque.records.served import Served

LINE_BYTES_MAX = 2048

_encode = msgspec.json.Encoder().encode


def json_line(at: float, served: Served) -> bytes:
    """Write one JSON object with the time in front, the way people and log readers sort lines."""
    encoded = _encode(_rounded(served))
    stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    fields = encoded[1:] if len(encoded) <= LINE_BYTES_MAX else b'"too_long":true}'
    return b'{"time":"%b",%b\n' % (stamp.encode("ascii"), fields)


def plain_line(at: float, served: Served) -> bytes:
    """Write one line of words: the local time, what was asked, what came of it, and the id that `toque why` takes."""
    clock = datetime.fromtimestamp(at, UTC).astimezone().strftime("%H:%M:%S")
    about = served.model or served.route
    told = ", ".join([f"{about}: {served.status} {served.outcome}", *_details(served)])
    return f"{clock} {told}  {served.request_id}\n".encode()


def _details(served: Served) -> Iterator[str]:
    """Tell what is worth a word: what is usual goes without."""
    if served.output_tokens:
        yield f"{served.output_tokens} tokens"
    if served.duration_ms:
        yield f"{served.duration_ms / 1000:.2f} s"
    if served.queue_wait_ms >= 1:
        yield f"waited {served.queue_wait_ms / 1000:.2f} s"
    if served.attempts > 1:
        yield f"{served.attempts} attempts"
    if served.replica:
        yield f"replica {served.replica}"


def _rounded(served: Served) -> Served:
    """Clocks differ by tiny fractions that nobody wants to read."""
    served.queue_wait_ms = round(served.queue_wait_ms, 3)
    served.ttft_ms = round(served.ttft_ms, 3)
    served.duration_ms = round(served.duration_ms, 3)
    return served
