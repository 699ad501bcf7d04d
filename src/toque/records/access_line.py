"""An access line in its two forms: JSON for programs, words for a person at a terminal.

Law: both are made of `Served` alone, in which a client can write nothing but a checked request id; each is one line.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache

from toque.records.line import Line, encode_line
from toque.records.served import Served

LINE_BYTES_MAX = 2048


def json_line(at: float, served: Served) -> bytes:
    """Write one JSON object, the time in front, where people and log readers look for it."""
    encoded = encode_line(
        Line(
            served.request_id,
            served.route,
            served.status,
            served.outcome,
            served.tenant,
            served.model,
            served.service_class,
            served.ticket,
            served.replica,
            served.attempts,
            served.stream,
            served.queue_wait_us / 1000,
            served.ttft_us / 1000,
            served.duration_us / 1000,
            served.prompt_tokens,
            served.output_tokens,
            served.asked,
            served.fallback,
        )
    )
    return line_of(at, encoded if len(encoded) <= LINE_BYTES_MAX else b'{"too_long":true}')


def line_of(at: float, encoded: bytes) -> bytes:
    """Put a time in front of the fields of an encoded JSON object, and end the line."""
    return b"%b%b\n" % (_beginning(int(at * 1000)), encoded[1:])


@lru_cache(maxsize=2)
def _beginning(at_ms: int) -> bytes:
    """The same for all lines of one millisecond; where the load counts there are many."""
    second, ms = divmod(at_ms, 1000)
    return b'{"time":"%b.%03d+00:00",' % (_to_the_second(second), ms)


@lru_cache(maxsize=2)
def _to_the_second(at: int) -> bytes:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode("ascii")


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
    if served.duration_us:
        yield f"{served.duration_us / 1e6:.2f} s"
    if served.queue_wait_us >= 1000:
        yield f"waited {served.queue_wait_us / 1e6:.2f} s"
    if served.attempts > 1:
        yield f"{served.attempts} attempts"
    if served.fallback:
        yield f"instead of {served.asked} ({served.fallback})"
    if served.replica:
        yield f"replica {served.replica}"
