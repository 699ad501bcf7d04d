"""What is decoded of a replica's answer: never more than is looked at.

Law: a shape names fields and bounds, and does nothing.
"""

from typing import Annotated, TypeAlias

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for an event that is no JSON."""
NULL = msgspec.Raw(b"null")


class Ordinary(msgspec.Struct, gc=False):
    """An event with nothing to look at: decoding fails where it has usage or an error, or is no JSON."""

    usage: None = None
    error: None = None


class Chunk(msgspec.Struct, gc=False):
    """What is looked for in an event that is not ordinary."""

    usage: msgspec.Raw = NULL
    choices: msgspec.Raw = NULL
    error: dict[str, msgspec.Raw] | str | None = None


Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=10**12)]


class Counts(msgspec.Struct, gc=False):
    """The tokens of a usage object, in whatever order."""

    prompt_tokens: Count = 0
    completion_tokens: Count = 0


decode_ordinary = msgspec.json.Decoder(Ordinary).decode
decode_chunk = msgspec.json.Decoder(Chunk).decode
decode_usage = msgspec.json.Decoder(Counts).decode
decode_text = msgspec.json.Decoder(str).decode  # looks at every byte: no control character, no half escape, only UTF-8
