"""Addresses that a request names for somebody to fetch: pictures, sounds, files (S05).

Law: the gateway fetches nothing, and an address reaches a replica only where its model's settings allow it: an engine inside
the network would reach what its callers cannot. A `data:` URL is content, not an address.
"""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Raw

from toque.model.errors import CallerError

_NAME = "url"
"""Every field that names an address ends with it: `url`, `image_url`, `video_url`, `file_url`."""
_CONTENT = "data:"
_LIST = ord("[")

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def keep_addresses_out(messages: Sequence[dict[str, Raw]]) -> None:
    """Refuse messages whose parts name an address. Raises `CallerError`.

    Parts are written again as they were read, so that gateway and replica cannot read a doubled field in two ways.
    """
    for message in messages:
        content = message.get("content")
        if content is None or memoryview(content)[0] != _LIST:  # a text, which names nothing
            continue
        parts = _decode(content)
        if any(not text[:5].lower() == _CONTENT for text in _addresses(parts)):
            raise CallerError(
                "A message names an address to fetch; send the content itself as a data: URL. Whoever runs this server may "
                "allow addresses with `fetches_addresses = true` in the settings of the model.",
                param="messages",
            )
        message["content"] = Raw(_encode(parts))


def _addresses(parts: object) -> Iterator[str]:
    """Every text under a name that stands for an address, on any level, without recursion."""
    level: list[tuple[str, object]] = [("", parts)]
    while level:
        for name, value in level:
            if isinstance(value, str) and name.lower().endswith(_NAME):
                yield value
        level = [member for name, value in level for member in _members(name, value)]


def _members(name: str, value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return list(value.items())
    return [(name, item) for item in value] if isinstance(value, list) else []
