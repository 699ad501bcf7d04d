"""Plain answers out of streams, for replicas that notice only while they stream that nobody listens any more.

Law: the client gets the object it would have got without streaming, whole or not at all; until it is whole a loss can
still be retried. llama.cpp, when asked for a plain answer, looks for a closed connection once a second at best and under load
decodes to the end (C04); while it streams it looks after every token.
"""

from typing import ClassVar

import msgspec

from toque.gateway.attempt import Attempt, Customer
from toque.gateway.verdict import broken, lost, stranger
from toque.model.errors import UpstreamError
from toque.model.ticket import FailureKind
from toque.wire.sse import SseParser

PLAIN = b"application/json"
PIECES_MAX = 500_000
"""Pieces of one answer at most; more tokens than any context has."""


class _Function(msgspec.Struct, omit_defaults=True):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct, omit_defaults=True):
    index: int = 0
    id: str | None = None
    function: _Function = msgspec.field(default_factory=_Function)


class _Piece(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _ChunkChoice(msgspec.Struct):
    index: int = 0
    delta: _Piece = msgspec.field(default_factory=_Piece)
    text: str | None = None
    logprobs: dict[str, list[msgspec.Raw] | None] | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chunk(msgspec.Struct):
    choices: list[_ChunkChoice] = []
    id: str = ""
    created: int = 0
    model: str = ""
    system_fingerprint: str | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_usage = msgspec.json.Decoder(_Usage | None).decode
_encode = msgspec.json.Encoder().encode


class CollectedAttempt(Attempt):
    """Asks for a stream and answers with one object."""

    __slots__ = ("_answer", "_model", "_parser")

    content_type = b"text/event-stream"

    def __init__(self, customer: Customer, *, is_chat: bool, model: str = "") -> None:
        """`model`: the name that its events must carry (empty: any)."""
        super().__init__(customer)
        self._model = model
        self._parser = SseParser()
        self._answer = CollectedAnswer(is_chat=is_chat)

    def take(self, data: bytes) -> None:
        """Add what came to the answer."""
        try:
            for event in self._parser.feed(data):
                self._answer.add(event.data)
        except (msgspec.DecodeError, UpstreamError, ValueError, RecursionError):
            self._give_up(broken())

    def finish(self) -> None:
        """Send the whole, or say that it never became whole."""
        if not self._answer.is_whole():
            self.customer.failed(lost(FailureKind.LOST))
            return
        if self._model and self._answer.model != self._model:
            self.customer.failed(stranger())
            return
        self.customer.answered_at_once(PLAIN, self._answer.encode(), *self._answer.tokens())


class CollectedAnswer:
    """Chunks put together to the object of OpenAI's plain answer."""

    OBJECTS: ClassVar = {True: "chat.completion", False: "text_completion"}

    def __init__(self, *, is_chat: bool) -> None:
        self._is_chat = is_chat
        self._first: _Chunk | None = None
        self._usage = msgspec.Raw(b"null")
        self._choices: dict[int, _Choice] = {}
        self._pieces = 0

    def add(self, event: bytes) -> None:
        """Take the data of one event. Raises msgspec.DecodeError for what is no chunk, ValueError for too many."""
        if event == b"[DONE]":
            return
        chunk = _decode_chunk(event)
        self._pieces += 1
        if self._pieces > PIECES_MAX:
            raise ValueError("an answer without an end")
        self._first = self._first or chunk
        if bytes(chunk.usage) != b"null":
            self._usage = chunk.usage.copy()
        for choice in chunk.choices:
            self._choices.setdefault(choice.index, _Choice()).add(choice)

    def is_whole(self) -> bool:
        """Whether every choice has said why it ended."""
        return bool(self._choices) and all(choice.finish_reason for choice in self._choices.values())

    @property
    def model(self) -> str:
        """Which model says that it answered."""
        return self._first.model if self._first else ""

    def tokens(self) -> tuple[int, int]:
        """Prompt and output tokens, 0 where nothing was said."""
        usage = _decode_usage(self._usage) or _Usage()
        return usage.prompt_tokens, usage.completion_tokens

    def encode(self) -> bytes:
        """Write the object."""
        first = self._first or _Chunk()
        return _encode(
            {
                "id": first.id,
                "object": self.OBJECTS[self._is_chat],
                "created": first.created,
                "model": first.model,
                "choices": [choice.whole(index, self._is_chat) for index, choice in sorted(self._choices.items())],
                "usage": self._usage,
                "system_fingerprint": first.system_fingerprint,
            }
        )


class _Choice:
    """One choice while it grows."""

    def __init__(self) -> None:
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, _ToolCall] = {}
        self._logprobs: dict[str, list[msgspec.Raw]] = {}
        self.finish_reason: str | None = None

    def add(self, choice: _ChunkChoice) -> None:
        piece = choice.delta
        self._content += [text for text in (piece.content, choice.text) if text]
        self._reasoning += [piece.reasoning_content] if piece.reasoning_content else []
        self._refusal += [piece.refusal] if piece.refusal else []
        for call in piece.tool_calls or ():
            self._add_call(call)
        for name, entries in (choice.logprobs or {}).items():
            self._logprobs.setdefault(name, []).extend(entry.copy() for entry in entries or ())
        self.finish_reason = choice.finish_reason or self.finish_reason

    def _add_call(self, fragment: _ToolCall) -> None:
        known = self._calls.setdefault(fragment.index, _ToolCall(fragment.index))
        known.id = known.id or fragment.id
        known.function.name = known.function.name or fragment.function.name
        known.function.arguments = (known.function.arguments or "") + (fragment.function.arguments or "")

    def whole(self, index: int, is_chat: bool) -> dict[str, object]:  # noqa: FBT001 - which of the two shapes
        """The choice as the plain answer has it."""
        text = "".join(self._content)
        common: dict[str, object] = {
            "index": index,
            "logprobs": self._logprobs or None,
            "finish_reason": self.finish_reason,
        }
        if not is_chat:
            return {**common, "text": text}
        message: dict[str, object] = {"role": "assistant", "content": None if self._calls and not text else text}
        if self._reasoning:
            message["reasoning_content"] = "".join(self._reasoning)
        if self._refusal:
            message["refusal"] = "".join(self._refusal)
        if self._calls:
            message["tool_calls"] = [_whole_call(call) for _, call in sorted(self._calls.items())]
        return {**common, "message": message}


def _whole_call(call: _ToolCall) -> dict[str, object]:
    function = {"name": call.function.name or "", "arguments": call.function.arguments or ""}
    return {"id": call.id or "", "type": "function", "function": function}
