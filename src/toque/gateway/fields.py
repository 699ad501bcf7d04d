"""The request fields that the gateway looks into, with their types and bounds; all others pass through unread.

Law: every bound is OpenAI's where it has one, else one that no honest request meets. What can grow has a bound.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

TOKENS_MAX = 2**20
"""Output tokens asked for at most, over all `n` answers: no model writes a million."""
MESSAGES_MAX = 10_000
TOOLS_MAX = 512
LOGIT_BIAS_MAX = 4096
INPUTS_MAX = 2048
"""Texts in one embeddings or completions request."""
INPUT_TOKENS_MAX = 2**17
"""Numbers in one prompt that came as tokens."""

Tokens: TypeAlias = Annotated[int, Meta(ge=0, le=TOKENS_MAX)]
Penalty: TypeAlias = Annotated[float, Meta(ge=-2, le=2)]
Stop: TypeAlias = str | Annotated[list[str], Meta(max_length=4)]
Bias: TypeAlias = Annotated[dict[str, Annotated[float, Meta(ge=-100, le=100)]], Meta(max_length=LOGIT_BIAS_MAX)]
Tier: TypeAlias = Literal["auto", "default", "flex", "scale", "priority", "fast"]
"""OpenAI's service tiers, and `fast`, which some clients say for `priority`."""
Objects: TypeAlias = list[dict[str, Raw]]
"""Objects whose members are passed on as they came; of a member that came twice only the last."""


class StreamOptions(msgspec.Struct, gc=False):
    """`include_obfuscation` is accepted and dropped: padding is for links that others can watch."""

    include_usage: bool | UnsetType | None = UNSET


class NamedBody(msgspec.Struct):
    """All that is read of a body that is refused: what it wanted to ask."""

    model: str


class Body(msgspec.Struct, gc=False):
    """What all three kinds of request share, and the gateway decides upon. A field not sent stays unset."""

    model: str
    stream: bool | UnsetType | None = UNSET
    stream_options: StreamOptions | UnsetType | None = UNSET
    n: Annotated[int, Meta(ge=1, le=128)] | UnsetType | None = UNSET
    max_tokens: Tokens | UnsetType | None = UNSET
    max_completion_tokens: Tokens | UnsetType | None = UNSET
    service_tier: Tier | UnsetType | None = UNSET
    priority: Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)] | UnsetType | None = UNSET
    store: bool | UnsetType | None = UNSET


class SamplingBody(Body, gc=False):
    """The bounded fields of requests that draw tokens."""

    temperature: Annotated[float, Meta(ge=0, le=2)] | UnsetType | None = UNSET
    top_p: Annotated[float, Meta(ge=0, le=1)] | UnsetType | None = UNSET
    frequency_penalty: Penalty | UnsetType | None = UNSET
    presence_penalty: Penalty | UnsetType | None = UNSET
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | UnsetType | None = UNSET
    stop: Stop | UnsetType | None = UNSET
    logit_bias: Bias | UnsetType | None = UNSET
    response_format: Raw | UnsetType = UNSET
    chat_template_kwargs: Raw | UnsetType = UNSET


class ChatBody(SamplingBody, gc=False, kw_only=True):
    """POST /v1/chat/completions."""

    messages: Annotated[Objects, Meta(min_length=1, max_length=MESSAGES_MAX)]
    logprobs: bool | UnsetType | None = UNSET
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | UnsetType | None = UNSET
    tools: Annotated[Objects, Meta(max_length=TOOLS_MAX)] | UnsetType | None = UNSET
    functions: Annotated[Objects, Meta(max_length=TOOLS_MAX)] | UnsetType | None = UNSET


class CompletionBody(SamplingBody, gc=False, kw_only=True):
    """POST /v1/completions."""

    prompt: Raw
    logprobs: Annotated[int, Meta(ge=0, le=20)] | UnsetType | None = UNSET
    best_of: Annotated[int, Meta(ge=1, le=128)] | UnsetType | None = UNSET


class EmbeddingBody(Body, gc=False, kw_only=True):
    """POST /v1/embeddings."""

    input: Raw
    dimensions: Annotated[int, Meta(ge=1, le=2**16)] | UnsetType | None = UNSET
