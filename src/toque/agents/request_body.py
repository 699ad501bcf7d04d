"""A prompt context as the body of an OpenAI request, and back.

Law: what one direction writes the other reads; a field that was not set is not written.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

import msgspec

from toque.model.errors import CallerError
from toque.model.inference import Json, Message, PromptContext, SamplingParameters

_Shape = TypeVar("_Shape")

CHAT = "/chat/completions"
COMPLETIONS = "/completions"
EMBEDDINGS = "/embeddings"

# fmt: off
REQUEST_FIELDS = frozenset({
    "messages", "audio", "functions", "function_call", "max_completion_tokens", "modalities", "parallel_tool_calls",
    "prediction", "reasoning_effort", "response_format", "tool_choice", "tools", "top_logprobs", "verbosity",
    "web_search_options",
    "prompt", "best_of", "echo", "suffix",
    "input", "dimensions", "encoding_format",
    "model", "frequency_penalty", "logit_bias", "logprobs", "max_tokens", "metadata", "n", "presence_penalty",
    "prompt_cache_key", "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options",
    "temperature", "top_p", "user",
})
# fmt: on
"""Every field of OpenAI's requests for chat, completions and embeddings (platform.openai.com/docs/api-reference).

Chat first, then completions, embeddings, and what they share.
"""


class MessageBody(msgspec.Struct):
    """One message of a request."""

    role: str
    content: str | list[dict[str, object]] | None = None
    name: str = ""
    tool_calls: list[dict[str, object]] = []
    tool_call_id: str = ""


class RequestBody(msgspec.Struct):
    """The fields of a request that an agent of ours understands; `extra` is all the others."""

    model: str = ""
    messages: list[MessageBody] = []
    prompt: str | list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    tools: list[dict[str, object]] = []
    tool_choice: object = None
    response_format: dict[str, object] | None = None
    n: int = 1
    stream: bool = False
    stream_options: dict[str, object] | None = None
    extra: dict[str, object] = {}

    def wants_usage(self) -> bool:
        """Whether a stream ends with a chunk that carries the usage."""
        return self.stream_options is not None and self.stream_options.get("include_usage") is True


_KNOWN = frozenset(RequestBody.__struct_fields__) - {"extra"}


def path_of(context: PromptContext) -> str:
    """Say which route answers `context`. Raises `CallerError` unless it has either messages or a prompt."""
    if bool(context.messages) == (context.prompt is not None):
        raise CallerError("Give either messages or a prompt.", param="messages")
    return COMPLETIONS if context.prompt is not None else CHAT


def encode_request(context: PromptContext, model: str, *, streams: bool) -> bytes:
    """Write the body; a stream is asked to end with its usage."""
    fields: dict[str, Json] = dict(context.sampling.extra)
    fields["model"] = model
    if context.prompt is not None:
        fields["prompt"] = context.prompt
    else:
        fields["messages"] = [_message_fields(message) for message in context.messages]
    fields.update(_sampling_fields(context.sampling))
    if context.tools:
        fields["tools"] = context.tools
    if context.tool_choice is not None:
        fields["tool_choice"] = context.tool_choice
    if context.response_format is not None:
        fields["response_format"] = context.response_format
    if streams:
        fields["stream"] = True
        fields["stream_options"] = {"include_usage": True}
    return encode_json(fields)


def _message_fields(message: Message) -> dict[str, Json]:
    fields: dict[str, Json] = {"role": message.role, "content": message.content}
    if message.name:
        fields["name"] = message.name
    if message.tool_calls:
        fields["tool_calls"] = message.tool_calls
    if message.tool_call_id:
        fields["tool_call_id"] = message.tool_call_id
    return fields


def _sampling_fields(sampling: SamplingParameters) -> dict[str, Json]:
    fields: dict[str, Json] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "stop": sampling.stop or None,
        "seed": sampling.seed,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
    }
    return {name: content for name, content in fields.items() if content is not None}


def decode_request(body: bytes) -> RequestBody:
    """Read a body. Raises `CallerError` saying what is wrong with it."""
    fields = decode_body(body, dict[str, object])
    extra = {name: fields.pop(name) for name in set(fields) - _KNOWN}
    request = decode_body(msgspec.json.encode({**fields, "extra": extra}), RequestBody)
    if request.n != 1:
        raise CallerError("This agent answers once a request: n must be 1.", param="n")
    return request


def decode_body(body: bytes, shape: type[_Shape]) -> _Shape:
    """Read JSON into a shape. Raises `CallerError` saying what is wrong with it."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.ValidationError, RecursionError) as error:
        raise CallerError(f"The request body is not valid: {error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CallerError(f"The request body is not JSON: {error}.", code="invalid_json") from error


def context_of(request: RequestBody) -> PromptContext:
    """Turn a decoded request into what an agent is asked."""
    prompt = request.prompt
    if isinstance(prompt, list):
        if len(prompt) != 1:
            raise CallerError("This agent answers one prompt a request.", param="prompt")
        prompt = prompt[0]
    context = PromptContext(
        messages=[_message_of(message) for message in request.messages],
        prompt=prompt,
        sampling=_sampling_of(request),
        tools=cast("Sequence[Mapping[str, Json]]", request.tools),
        tool_choice=cast("Json", request.tool_choice),
        response_format=cast("Mapping[str, Json] | None", request.response_format),
    )
    path_of(context)
    return context


def _message_of(body: MessageBody) -> Message:
    return Message(
        role=body.role,
        content=cast("str | Sequence[Mapping[str, Json]] | None", body.content),
        name=body.name,
        tool_calls=cast("Sequence[Mapping[str, Json]]", body.tool_calls),
        tool_call_id=body.tool_call_id,
    )


def _sampling_of(request: RequestBody) -> SamplingParameters:
    stop = request.stop or ()
    tokens = request.max_tokens if request.max_completion_tokens is None else request.max_completion_tokens
    if tokens is not None and tokens < 1:
        raise CallerError("max_tokens must be at least 1.", param="max_tokens")
    return SamplingParameters(
        temperature=request.temperature,
        top_p=request.top_p,
        max_tokens=tokens,
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        seed=request.seed,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        extra=cast("Mapping[str, Json]", request.extra),
    )


def encode_json(content: Json) -> bytes:
    """Write JSON; any mapping is an object, any other sequence an array."""
    return msgspec.json.encode(content, enc_hook=_plain)


def _plain(content: object) -> object:
    if isinstance(content, Mapping):
        return dict(content)
    if isinstance(content, Sequence):
        return list(content)
    raise TypeError(f"{type(content).__name__} is not JSON")
