"""Agent `fake`: a model without a model. Its waits, failures, hangs and crashes are settings; its token counts are honest.

Law: one word is one token, the same request gets the same words, and a request that is cancelled decodes nothing more.
"""

import asyncio
import hashlib
import os
import random
import zlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, fields

from toque.agents.answer_body import AnswerError
from toque.agents.hosted import HostedKind
from toque.agents.request_body import path_of
from toque.model.agent_spec import AgentSpec
from toque.model.errors import CallerError, ConfigError, ToqueError
from toque.model.inference import Completion, Delta, FinishReason, Json, Message, PromptContext, Usage
from toque.model.ticket import FailureKind

WORDS = (
    "a",
    "small",
    "barrel",
    "holds",
    "more",
    "than",
    "it",
    "seems",
    "and",
    "gives",
    "it",
    "back",
    "cup",
    "by",
    "cup",
)
"""What it says, over and over, from a place that the prompt decides."""
TOOL_CHOICES = ("auto", "none", "required")
CRASH_STATUS = 70
"""Exit status of a crash: EX_SOFTWARE of sysexits.h."""
EMBEDDING_DIMENSIONS = 8

_ASKED_FOR = "This failure was asked for by fail_ratio."


async def pause(duration_s: float) -> None:
    """Wait. Everybody else waits for something; waiting as such is this agent's whole purpose."""
    await asyncio.sleep(duration_s)  # noqa: TID251


class Pace:
    """Rests one after the other that take as long together as they should: one that woke late shortens the next."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._due = self._clock()

    async def rest(self, duration_s: float) -> None:
        """Wait; a lateness longer than the rest itself (a reader that held us up) is not made up for."""
        now = self._clock()
        self._due = max(self._due + duration_s, now)
        await pause(self._due - now)


@dataclass
class FakeAgent:
    """An `InferenceAgent` in process; its settings are the `options` of a model with `agent = "fake"`.

    `tokens` words are answered, fewer where `max_tokens` says so. `prefill_s_per_token` comes on top of `ttft_s`.
    `fail_ratio` and `hang_ratio` of the requests, drawn with `seed`, fail with `fail_status` or never get an answer. The
    request after `crash_after` others (0: none) ends the process at once, without a word. `start_s` delays readiness.
    """

    ttft_s: float = 0.0
    token_gap_s: float = 0.0
    tokens: int = 16
    prefill_s_per_token: float = 0.0
    fail_ratio: float = 0.0
    fail_status: int = 500
    hang_ratio: float = 0.0
    crash_after: int = 0
    start_s: float = 0.0
    seed: int = 0
    tokens_decoded: int = field(default=0, init=False)
    _request_count: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        for option in fields(self):
            given = getattr(self, option.name)
            if not isinstance(given, (int, float)) or isinstance(given, bool) or given < 0:
                raise ConfigError(f"The option {option.name} of agent fake must be a number, 0 or more.")
        self._random = random.Random(self.seed)  # noqa: S311 - drawn faults, not a secret

    async def open(self) -> None:
        """Take as long as loading would."""
        await pause(self.start_s)

    async def generate(self, context: PromptContext) -> Completion:
        """Answer in one piece. Raises what `fail_status` asks for."""
        words, last = [], Delta()
        async for delta in self.stream(context):
            words.append(delta.text)
            last = delta
        assert last.finish_reason is not None
        assert last.usage is not None
        return Completion("".join(words), last.finish_reason, last.usage, last.tool_calls)

    async def stream(self, context: PromptContext) -> AsyncGenerator[Delta, None]:
        """Answer word by word. Raises what `fail_status` asks for, before the first."""
        path_of(context)
        if isinstance(context.tool_choice, str) and context.tool_choice not in TOOL_CHOICES:
            raise CallerError("tool_choice must be auto, none, required or a function.", param="tool_choice")
        await self._meet_fate()
        prompt = _prompt_text(context)
        prompt_tokens = len(prompt.split())
        pace = Pace()
        await pace.rest(self.ttft_s + self.prefill_s_per_token * prompt_tokens)
        if _must_call_tool(context):
            yield self._tool_call(context, prompt_tokens)
            return
        allowed = context.sampling.max_tokens
        count = int(self.tokens) if allowed is None else min(allowed, int(self.tokens))
        first = zlib.crc32(prompt.encode("utf-8", "surrogatepass"))
        for position in range(count):
            if position:
                await pace.rest(self.token_gap_s)
            self.tokens_decoded += 1
            word = WORDS[(first + position) % len(WORDS)]
            yield Delta(f" {word}" if position else word)
        reason = FinishReason.STOP if count == int(self.tokens) else FinishReason.LENGTH
        yield Delta(finish_reason=reason, usage=Usage(prompt_tokens, count))

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return a vector a text: the same for the same text, and of no meaning."""
        await self._meet_fate()
        await pause(self.ttft_s)
        return [_vector(text) for text in texts]

    async def _meet_fate(self) -> None:
        self._request_count += 1
        if self.crash_after and self._request_count > self.crash_after:
            os._exit(CRASH_STATUS)
        fails = self._random.random() < self.fail_ratio
        hangs = self._random.random() < self.hang_ratio
        if fails:
            raise _failure(int(self.fail_status))
        if hangs:
            await asyncio.Event().wait()

    def _tool_call(self, context: PromptContext, prompt_tokens: int) -> Delta:
        """Answer with a call of the first tool, or of the one that was named."""
        self.tokens_decoded += 1
        function: Mapping[str, Json] = {"name": _tool_name(context), "arguments": "{}"}
        call: Mapping[str, Json] = {"id": "call-0", "type": "function", "function": function}
        return Delta("", FinishReason.TOOL_CALLS, Usage(prompt_tokens, 1), (call,))


class FakeKind(HostedKind):
    """Replicas are children that host a `FakeAgent`."""

    def __init__(self) -> None:
        super().__init__(f"{FakeAgent.__module__}:{FakeAgent.__name__}")

    def check(self, spec: AgentSpec) -> None:
        """Make one to try the options."""
        known = [option.name for option in fields(FakeAgent) if option.init]
        unknown = sorted(set(spec.options) - set(known))
        if unknown:
            raise ConfigError(
                f"The agent fake has no option {', '.join(unknown)}.", fix=f"Its options are {', '.join(known)}."
            )
        FakeAgent(**spec.options)  # type: ignore[arg-type]  # __post_init__ looks at each type


def _failure(status: int) -> ToqueError:
    if status in {429, 503}:
        return AnswerError(_ASKED_FOR, FailureKind.BUSY, status=status)
    if 400 <= status < 500:
        return CallerError(_ASKED_FOR, status=status)
    return AnswerError(_ASKED_FOR, FailureKind.ERROR, status=status)


def _prompt_text(context: PromptContext) -> str:
    if context.prompt is not None:
        return context.prompt
    return "\n".join(_message_text(message) for message in context.messages)


def _message_text(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    return " ".join(str(part.get("text", "")) for part in message.content or ())


def _must_call_tool(context: PromptContext) -> bool:
    return bool(context.tools) and (context.tool_choice == "required" or isinstance(context.tool_choice, Mapping))


def _tool_name(context: PromptContext) -> Json:
    asked = context.tool_choice if isinstance(context.tool_choice, Mapping) else context.tools[0]
    function = asked.get("function")
    return function.get("name", "") if isinstance(function, Mapping) else ""


def _vector(text: str) -> list[float]:
    """Spread a digest over [-1, 1) and bring it to length 1."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:EMBEDDING_DIMENSIONS]
    raw = [byte / 128 - 1 for byte in digest]
    length = sum(part * part for part in raw) ** 0.5 or 1.0
    return [part / length for part in raw]
