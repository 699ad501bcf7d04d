"""The inference contract's words: what is asked of a model and what it answers.

Law: the names and shapes are the OpenAI API's where it has them, so that nothing is translated twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from toque.model.ticket import ServiceClass

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. `content` is text, or the API's list of content parts."""

    role: str
    content: str | Sequence[Mapping[str, Json]] | None = None
    name: str = ""
    tool_calls: Sequence[Mapping[str, Json]] = ()
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True)
class SamplingParameters:
    """How to draw tokens. `None` leaves the engine's default. `max_tokens` counts output tokens."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PromptContext:
    """Everything an agent needs for one answer: either `messages` (chat) or `prompt` (plain completion).

    `timeout_s` is how long the caller will wait for the whole answer; whoever holds a clock turns it into a deadline.
    """

    messages: Sequence[Message] = ()
    prompt: str | None = None
    sampling: SamplingParameters = field(default_factory=SamplingParameters)
    tools: Sequence[Mapping[str, Json]] = ()
    tool_choice: Json = None
    response_format: Mapping[str, Json] | None = None
    timeout_s: float = 600.0
    service_class: ServiceClass = ServiceClass.INTERACTIVE
    tenant: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer. `fallback`: the model that wrote it instead of the one asked; usually empty."""

    text: str
    finish_reason: FinishReason
    usage: Usage
    tool_calls: Sequence[Mapping[str, Json]] = ()
    fallback: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer. The last one carries `finish_reason`, `usage` and, as a `Completion`, `fallback`."""

    text: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    tool_calls: Sequence[Mapping[str, Json]] = ()
    fallback: str = ""
