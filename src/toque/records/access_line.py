"""An access line in its two forms: JSON for programs, words for a person at a terminal.

Law: both are made of `Served` alone, in which a client can write nothing but a checked request id; each is one line.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeAlias

import msgspec

from toque.records.served import Served

LINE_BYTES_MAX = 2048
FORMS_MAX = 1024
"""Kinds of requests whose lines are prepared: those that differ in nothing but numbers and their id."""

_Kind: TypeAlias = tuple[str, int, str, str, str, str, bool, str, str]

_encode = msgspec.json.Encoder().encode


def json_line(at: float, served: Served) -> bytes:
    """Write one JSON object, the time in front, where people and log readers look for it."""
    kind = (served.route, served.status, served.outcome, served.tenant, served.model, served.service_class)
    form = _form((*kind, served.stream, served.asked, served.fallback))
    wait_us, ttft_us, duration_us = served.queue_wait_us, served.ttft_us, served.duration_us
    line = form % (
        _beginning(int(at * 1000)),
        served.request_id.encode(),
        served.ticket,
        served.replica,
        served.attempts,
        wait_us // 1000,
        wait_us % 1000,
        ttft_us // 1000,
        ttft_us % 1000,
        duration_us // 1000,
        duration_us % 1000,
        served.prompt_tokens,
        served.output_tokens,
    )
    return line if len(line) <= LINE_BYTES_MAX else line_of(at, b'{"too_long":true}')


@lru_cache(maxsize=FORMS_MAX)
def _form(kind: _Kind) -> bytes:
    """Write what the lines of one kind of request share; a `%` stands for each number and for the id, which needs no quoting."""
    route, status, outcome, tenant, model, service_class, stream, asked, fallback = kind
    begin = {"route": route, "status": status, "outcome": outcome, "tenant": tenant, "model": model}
    fields = ({**begin, "class": service_class}, {"stream": stream}, {"asked": asked, "fallback": fallback})
    parts = tuple(_encode(part)[1:-1].replace(b"%", b"%%") for part in fields)
    return (
        b'%%b"request_id":"%%b",%b,"ticket":%%d,"replica":%%d,"attempts":%%d,%b,'
        b'"queue_wait_ms":%%d.%%03d,"ttft_ms":%%d.%%03d,"duration_ms":%%d.%%03d,'
        b'"prompt_tokens":%%d,"output_tokens":%%d,%b}\n' % parts
    )


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
