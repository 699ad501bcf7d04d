"""Lines for a batch out of what people have: whole lines of one, or request bodies alone.

Law: what cannot be read is passed on as it is; whoever takes the batch in says what is wrong, and at which line.
"""

from collections.abc import Iterable, Iterator

import msgspec

LINE_FIELDS = frozenset({"custom_id", "body"})


def whole_lines(source: Iterable[bytes], endpoint: str, model: str) -> Iterator[bytes]:
    """Yield lines of a batch for `endpoint`. A body alone is named by its line; `model`, if any, is put into each body."""
    for number, line in enumerate(source, start=1):
        yield _whole_line(line, number, endpoint, model)


def _whole_line(line: bytes, number: int, endpoint: str, model: str) -> bytes:
    try:
        found = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        body, name = found, msgspec.Raw(b'"line-%d"' % number)
        if found.keys() >= LINE_FIELDS:
            body, name = msgspec.json.decode(found["body"], type=dict[str, msgspec.Raw]), found["custom_id"]
    except (msgspec.DecodeError, RecursionError):
        return line
    if model:
        body["model"] = msgspec.Raw(msgspec.json.encode(model))
    return msgspec.json.encode({"custom_id": name, "method": "POST", "url": endpoint, "body": body}) + b"\n"
