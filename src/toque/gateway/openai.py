"""OpenAI request bodies: decoded once into types, checked, and written again for the replica.

Law: what reaches a replica is exactly what was checked: only the fields of its model's dialect, each of them once, so
that gateway and replica cannot read one body in two ways.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from toque.gateway.addresses import keep_addresses_out
from toque.gateway.fields import (
    INPUT_TOKENS_MAX,
    INPUTS_MAX,
    TOKENS_MAX,
    Body,
    ChatBody,
    CompletionBody,
    EmbeddingBody,
    NamedBody,
    SamplingBody,
    StreamOptions,
)
from toque.gateway.rank import HURRIED_TIERS, Wish
from toque.gateway.schema import check_schema, check_schemas
from toque.model.errors import CallerError
from toque.model.ticket import PRIORITY
from toque.ports import Dialect

CHAT = "/chat/completions"
STREAMED = frozenset({CHAT, "/completions"})
"""Paths whose answers may be streams."""

SHAPES: Mapping[str, type[Body]] = {
    CHAT: ChatBody,
    "/completions": CompletionBody,
    "/embeddings": EmbeddingBody,
}
"""Path end -> what its body must look like."""

LARGE_BYTES = 2**20
STRUCTURE_MAX = 2**20
"""Commas, colons and braces of a large body at most: each may stand for 100 bytes and 100 ns of decoding."""


_PARAM = re.compile(r"(?:at `\$\.|required field `)([A-Za-z0-9_]+)")
# Final: what is compiled finds them without a look.
_UNSET: Final = UNSET
_USAGE: Final = StreamOptions(include_usage=True)
_decode_named: Final = msgspec.json.Decoder(NamedBody).decode
_decode_items: Final = msgspec.json.Decoder(list[Raw]).decode
_encode: Final = msgspec.json.Encoder().encode


class Ask:
    """A checked request. `body` is for the replica; `wants_usage` says whether the client asked a stream for it.

    `collects`: the client wants a plain answer, and the replica is asked for a stream. `answers_as`: the model's name that the
    answer must carry (empty: any). `tokens_max`: how many output tokens the answer may have at most; 0 where the client did
    not say. `wish`: the rank that the body asks for, if it does.
    """

    __slots__ = ("answers_as", "body", "collects", "model", "streams", "tokens_max", "wants_usage", "wish")

    def __init__(  # noqa: PLR0913, PLR0917 - as they are found out, at once
        self,
        model: str,
        streams: bool,  # noqa: FBT001 - by position: there is one for each request
        collects: bool,  # noqa: FBT001
        wants_usage: bool,  # noqa: FBT001
        body: bytes,
        answers_as: str,
        tokens_max: int,
        wish: Wish | None,
    ) -> None:
        self.model = model
        self.streams = streams
        self.collects = collects
        self.wants_usage = wants_usage
        self.body = body
        self.answers_as = answers_as
        self.tokens_max = tokens_max
        self.wish = wish

    def to(self, model: str) -> "Ask":
        """Return the same for another model."""
        return Ask(
            model,
            self.streams,
            self.collects,
            self.wants_usage,
            self.body,
            self.answers_as,
            self.tokens_max,
            self.wish,
        )


class BodyReader:
    """Reads the bodies of one path, for all models.

    One type serves all models: the checked fields, and every other field that any dialect has, unread. Where dialects
    differ, the fields that a model does not have are taken out again.
    """

    def __init__(self, path: str, dialects: Mapping[str, Dialect]) -> None:
        self._path = path
        self._dialects = dialects
        shape = _widen(SHAPES[path], {field for dialect in dialects.values() for field in dialect.fields})
        self._decode = msgspec.json.Decoder(shape).decode
        optional = {field.encode_name: field.name for field in msgspec.structs.fields(shape) if not field.required}
        self._foreign = {
            model: tuple(name for sent, name in optional.items() if sent not in (dialect.fields | {"stream"}))
            for model, dialect in dialects.items()
        }

    def read(self, content: bytes, best: int = PRIORITY, instead: str = "") -> Ask:
        """Decode, check and write again. Raises `CallerError` with the field at fault as its `param`.

        `best`: the best priority that may be asked for, of a replica too. `instead`: for this model instead of the one the
        body names (a fallback).
        """
        body = self._decoded(content)
        if instead:
            body.model = instead
        dialect = self._dialects.get(body.model)
        if dialect is None:
            raise unknown_model()
        try:
            return self._ask(body, dialect, best)
        except CallerError as error:
            error.model = body.model
            raise

    def _ask(self, body: Body, dialect: Dialect, best: int) -> Ask:
        model = body.model
        if self._path not in dialect.routes:
            raise CallerError(
                f"This model does not answer /v1{self._path}.", status=404, code="not_found", param="model"
            )
        tokens_max = _tokens_max(body)
        _check(body, tokens_max, may_name_addresses=dialect.addresses)
        streams = body.stream is True
        collects = wants_usage = False
        if streams:
            options = body.stream_options
            wants_usage = isinstance(options, StreamOptions) and options.include_usage is True
        elif dialect.streams_only and self._path in STREAMED:
            body.stream = collects = True
        wish = _wish(body, best) if body.service_tier is not _UNSET or body.priority is not _UNSET else None
        _translate(body, dialect.model, self._foreign[model])
        answers_as = model if dialect.names_itself else ""
        return Ask(model, streams, collects, wants_usage, _encode(body), answers_as, tokens_max, wish)

    def _decoded(self, content: bytes) -> Body:
        """Turn bytes into a body. The decoder refuses NaN, lone surrogates and a byte order mark by itself."""
        if len(content) > LARGE_BYTES:
            _check_structure(content)
        decode = self._decode
        try:
            if not content.isascii():  # the decoder does not look inside what it passes on unread
                content.decode()
            return decode(content)
        except msgspec.ValidationError as error:
            raise self._invalid(str(error), content) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise CallerError("The request body is not valid JSON in UTF-8.", code="invalid_json") from None

    def _invalid(self, reason: str, content: bytes) -> CallerError:
        """Turn the decoder's reason, which names types and paths but no content, into an error of ours."""
        found = _PARAM.search(reason)
        error = CallerError(f"The request body is invalid: {reason}.", param=found[1] if found else "")
        with suppress(msgspec.DecodeError, RecursionError):  # what was asked of which model, for the records
            model = _decode_named(content).model
            error.model = model if model in self._dialects else ""
        return error


def unknown_model() -> CallerError:
    """Say that there is no such model, without repeating a name that may be anything."""
    return CallerError(
        "There is no such model here. GET /v1/models lists those your key may use.",
        status=404,
        code="model_not_found",
        param="model",
    )


def _widen(shape: type[Body], names: set[str]) -> type[Body]:
    """Add the fields that pass unread. Their names come from settings, so they need not be Python names."""
    known = {field.encode_name for field in msgspec.structs.fields(shape)}
    unread = {f"unread_{number}": name for number, name in enumerate(sorted(names - known))}
    fields = [(name, Raw | UnsetType, UNSET) for name in unread]
    wide = msgspec.defstruct(shape.__name__, fields, bases=(shape,), rename=unread, kw_only=True, gc=False)
    return cast(type[Body], wide)


def _translate(body: Body, upstream_model: str, foreign: tuple[str, ...]) -> None:
    """Say it in the model's dialect; a stream is always asked for its usage, for the tokens are counted."""
    if upstream_model:
        body.model = upstream_model
    body.stream_options = _USAGE if body.stream is True else _UNSET
    if foreign:
        if body.max_tokens in (_UNSET, None) and "max_completion_tokens" in foreign:
            body.max_tokens = body.max_completion_tokens
        for name in foreign:
            setattr(body, name, _UNSET)


def _check_structure(content: bytes) -> None:
    if content.count(b",") + content.count(b":") + content.count(b"{") > STRUCTURE_MAX:
        raise CallerError(
            f"The request body has more than {STRUCTURE_MAX} commas, colons and braces.",
            status=413,
            code="request_too_large",
        )


def _check(body: Body, tokens_max: int, *, may_name_addresses: bool) -> None:
    """Hold the body to the rules that no type can say."""
    if body.store is True:
        raise CallerError("This server stores no answers; leave `store` out.", param="store")
    if tokens_max > TOKENS_MAX:
        raise CallerError(f"`n` answers may have {TOKENS_MAX} tokens together, at most.", param="n")
    if isinstance(body, ChatBody):
        _check_chat(body)
        if not may_name_addresses:
            keep_addresses_out(body.messages)
    elif isinstance(body, CompletionBody):
        _check_schemas(body)
        _check_items(body.prompt, "prompt")
    elif isinstance(body, EmbeddingBody):
        _check_items(body.input, "input")


def _check_chat(body: ChatBody) -> None:
    _check_schemas(body)
    if body.tools:
        check_schemas(body.tools, "tools")
    if body.functions:
        check_schemas(body.functions, "functions")


def _check_schemas(body: SamplingBody) -> None:
    if body.response_format is not _UNSET:
        check_schema(body.response_format, "response_format")
    if body.chat_template_kwargs is not _UNSET:
        check_schema(body.chat_template_kwargs, "chat_template_kwargs")


def _wish(body: Body, best: int) -> Wish:
    """Read which rank a body asks for; what passes on of it to a replica that knows such words is held to the key's right."""
    wish = Wish(body.service_tier or "", body.priority if isinstance(body.priority, int) else None)
    if wish.tier in HURRIED_TIERS:
        body.service_tier = "priority" if best < PRIORITY else "default"
    if wish.priority is not None:
        body.priority = max(wish.priority, best - PRIORITY)
    return wish


def _tokens_max(body: Body) -> int:
    """Count the output tokens that were asked for at most, over all `n` answers; 0 where nobody said."""
    return (body.n or 1) * (body.max_completion_tokens or body.max_tokens or 0)


def _check_items(content: Raw, param: str) -> None:
    """Take a text, or a bounded list of texts, of numbers (tokens) or of lists of numbers."""
    first = _first(content)
    if first == b'"':
        return
    if first != b"[":
        raise CallerError(f"`{param}` must be a text or a list.", param=param)
    items = _decode_items(content)
    are_tokens = bool(items) and _first(items[0]).isdigit()
    if not items or len(items) > (INPUT_TOKENS_MAX if are_tokens else INPUTS_MAX):
        limit = INPUT_TOKENS_MAX if are_tokens else INPUTS_MAX
        raise CallerError(f"`{param}` must have 1 to {limit} items.", param=param)


def _first(content: Raw) -> bytes:
    return bytes(memoryview(content)[:1])
