"""What a fake engine answers, as values: its status, its fields, its pieces and how it ends.

Law: an answer says only what is unusual about it; whatever it leaves out is done as a good engine does it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from toque.agents.answer_body import DONE, encode_chunk, encode_usage_chunk
from toque.model.inference import Delta, FinishReason, Json, Usage

EVENT_STREAM = "text/event-stream"
JSON_TYPE = "application/json"
HEAD: Mapping[str, Json] = {"id": "cmpl-0", "created": 0, "model": "chat"}
"""How every chunk of a scripted stream begins."""


class Ending(StrEnum):
    """How an answer ends after its pieces: whole; silent for ever; or the connection closed in the middle of it."""

    WHOLE = "whole"
    HANG = "hang"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Answer:
    """One scripted answer. With status 200 and neither pieces nor head it is what the model says, `delay_s` later.

    `pieces` are body bytes, sent one after the other with `gap_s` between them; they may be endless. `content_type` empty
    means that of an event stream where the pieces begin with `data:`, else JSON. `fields` are further header fields.
    `head` replaces status line and fields, byte for byte; the pieces then go out as they are, without framing.
    """

    status: int = 200
    pieces: Iterable[bytes] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    content_type: str = ""
    delay_s: float = 0.0
    gap_s: float = 0.0
    ending: Ending = Ending.WHOLE
    head: bytes = b""

    @property
    def is_natural(self) -> bool:
        """Whether the model speaks for itself."""
        return self.status == 200 and not self.pieces and not self.head and self.ending is Ending.WHOLE


def stream_of(
    *words: str, usage: Usage | None = None, finish: FinishReason | None = FinishReason.STOP, is_done: bool = True
) -> Sequence[bytes]:
    """Write the events of a chat stream: one a word, then why it finished, its usage if given, and `[DONE]`."""
    deltas = [Delta(word) for word in words]
    if finish is not None:
        deltas.append(Delta(finish_reason=finish))
    chunks = [encode_chunk(delta, HEAD, chat=True) for delta in deltas]
    if usage is not None:
        chunks.append(encode_usage_chunk(usage, HEAD, chat=True))
    if is_done:
        chunks.append(DONE)
    return [b"data: %b\n\n" % chunk for chunk in chunks]
