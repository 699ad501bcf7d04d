"""A model's answer as the body of an OpenAI response: written whole or in chunks, read in chunks.

Law: an answer without a finish reason is not an answer; what cannot be understood raises `AnswerError`, never passes.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from toque.agents.request_body import encode_json
from toque.model.errors import UpstreamError
from toque.model.inference import Completion, Delta, FinishReason, Json, Usage
from toque.model.ticket import FailureKind

DONE = b"[DONE]"
"""What the last event of a stream says."""

_FINISH_REASONS = {reason.value: reason for reason in FinishReason} | {"function_call": FinishReason.TOOL_CALLS}


class AnswerError(UpstreamError):
    """The replica's answer is a failure; `kind` says what may be concluded."""

    def __init__(
        self, message: str, kind: FailureKind, *, status: int = 502, code: str = "", retry_after_s: float = 0.0
    ) -> None:
        super().__init__(message, status=status, code=code, retry_after_s=retry_after_s)
        self.kind = kind


def invalid_answer(what: str) -> AnswerError:
    """Say that the replica did not keep to the API."""
    return AnswerError(f"The replica's answer {what}.", FailureKind.INVALID, code="upstream_invalid_response")


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _Function = msgspec.field(default_factory=_Function)


class _Piece(msgspec.Struct):
    content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    delta: _Piece | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Error(msgspec.Struct):
    message: str = ""


class _Answer(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: _Error | str | None = None


class _Vector(msgspec.Struct):
    embedding: list[float]
    index: int = 0


class _Vectors(msgspec.Struct):
    data: list[_Vector]


_answers = msgspec.json.Decoder(_Answer)
_vectors = msgspec.json.Decoder(_Vectors)


class StreamedAnswer:
    """The state of a stream under way: feed it the data of each event, then ask for its last delta."""

    def __init__(self) -> None:
        self._finish_reason: FinishReason | None = None
        self._usage: _Usage | None = None
        self._calls = _ToolCalls()

    def feed(self, data: bytes) -> str:
        """Take one chunk and return its text, which may be empty. Raises `AnswerError`."""
        answer = _decode(data)
        self._usage = answer.usage or self._usage
        if not answer.choices:
            return ""
        choice = answer.choices[0]
        self._finish_reason = _finish_reason(choice.finish_reason) or self._finish_reason
        piece = choice.delta or _Piece(content=choice.text)
        for call in piece.tool_calls or ():
            self._calls.add(call)
        return piece.content or ""

    def last(self) -> Delta:
        """Return what ends the stream: finish reason, usage and whole tool calls. Raises `AnswerError` when it was cut."""
        if self._finish_reason is None:
            raise AnswerError("The replica ended its answer before it was complete.", FailureKind.LOST)
        return Delta("", self._finish_reason, _usage(self._usage), self._calls.whole())


class _ToolCalls:
    """Tool calls put together from their fragments."""

    def __init__(self) -> None:
        self._names: dict[int, tuple[str, str]] = {}
        self._arguments: dict[int, list[str]] = {}

    def add(self, fragment: _ToolCall) -> None:
        id_, name = self._names.get(fragment.index, ("", ""))
        function = fragment.function
        self._names[fragment.index] = (id_ or fragment.id or "", name or function.name or "")
        self._arguments.setdefault(fragment.index, []).append(function.arguments or "")

    def whole(self) -> Sequence[Mapping[str, Json]]:
        return tuple(
            {
                "id": id_,
                "type": "function",
                "function": {"name": name, "arguments": "".join(self._arguments[index])},
            }
            for index, (id_, name) in sorted(self._names.items())
        )


def decode_embeddings(body: bytes) -> list[list[float]]:
    """Read vectors, in the order of the texts. Raises `AnswerError`."""
    try:
        vectors = _vectors.decode(body).data
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid_answer("has no embeddings") from error
    return [vector.embedding for vector in sorted(vectors, key=lambda vector: vector.index)]


def error_message(body: bytes) -> str:
    """Return what an error body says, or an empty text."""
    try:
        error = _answers.decode(body).error
    except (msgspec.DecodeError, RecursionError):
        return ""
    return error.message if isinstance(error, _Error) else error or ""


def _decode(body: bytes) -> _Answer:
    try:
        answer = _answers.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid_answer("is not the JSON it should be") from error
    if answer.error is not None:
        raise AnswerError("The replica failed while it answered.", FailureKind.ERROR)
    return answer


def _finish_reason(text: str | None) -> FinishReason | None:
    if text is None:
        return None
    reason = _FINISH_REASONS.get(text)
    if reason is None:
        raise invalid_answer("ended for a reason that the API does not know")
    return reason


def _usage(usage: _Usage | None) -> Usage:
    return Usage() if usage is None else Usage(usage.prompt_tokens, usage.completion_tokens)


# ---- the other direction: what an agent of ours answers


def encode_completion(completion: Completion, head: Mapping[str, Json], *, chat: bool) -> bytes:
    """Write a whole answer; `head` carries `id`, `created` and `model`."""
    choice: dict[str, Json] = {"index": 0, "finish_reason": completion.finish_reason.value, "logprobs": None}
    if chat:
        message: dict[str, Json] = {"role": "assistant", "content": completion.text}
        if completion.tool_calls:
            message["tool_calls"] = completion.tool_calls
        choice["message"] = message
    else:
        choice["text"] = completion.text
    return encode_json(
        {
            **head,
            "object": "chat.completion" if chat else "text_completion",
            "choices": [choice],
            "usage": _usage_fields(completion.usage),
        }
    )


def encode_chunk(delta: Delta, head: Mapping[str, Json], *, chat: bool) -> bytes:
    """Write one piece of a streamed answer, without its usage."""
    choice: dict[str, Json] = {"index": 0, "finish_reason": delta.finish_reason, "logprobs": None}
    if chat:
        choice["delta"] = _delta_fields(delta)
    else:
        choice["text"] = delta.text
    return encode_json({**head, "object": _chunk_object(chat=chat), "choices": [choice]})


def encode_usage_chunk(usage: Usage, head: Mapping[str, Json], *, chat: bool) -> bytes:
    """Write the chunk that ends a stream whose usage was asked for."""
    return encode_json({**head, "object": _chunk_object(chat=chat), "choices": [], "usage": _usage_fields(usage)})


def encode_embeddings(vectors: Sequence[Sequence[float]], model: str, prompt_tokens: int) -> bytes:
    """Write vectors in the order of their texts."""
    return encode_json(
        {
            "object": "list",
            "model": model,
            "data": [
                {"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)
            ],
            "usage": {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens},
        }
    )


def _chunk_object(*, chat: bool) -> str:
    return "chat.completion.chunk" if chat else "text_completion"


def _delta_fields(delta: Delta) -> dict[str, Json]:
    fields: dict[str, Json] = {"role": "assistant", "content": delta.text} if delta.text else {}
    if delta.tool_calls:
        fields["tool_calls"] = [{**call, "index": index} for index, call in enumerate(delta.tool_calls)]
    return fields


def _usage_fields(usage: Usage) -> dict[str, Json]:
    return cast(
        "dict[str, Json]",
        {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        },
    )
