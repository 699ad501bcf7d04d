"""Request bodies: H06 to H09, on the reader itself and without a network."""

import json

import pytest

from tests.gateway.scripted import ALL_ROUTES, COMMON, DIALECTS, HELLO
from toque.gateway.openai import BodyReader
from toque.gateway.rank import Wish
from toque.gateway.schema import DEPTH_MAX, ENUM_MAX, SCHEMA_BYTES_MAX
from toque.model.errors import CallerError
from toque.ports import Dialect

CHAT = BodyReader("/chat/completions", DIALECTS)
COMPLETIONS = BodyReader("/completions", DIALECTS)
EMBEDDINGS = BodyReader("/embeddings", DIALECTS)


def read(body: object, reader: BodyReader = CHAT) -> dict[str, object]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return dict(json.loads(reader.read(content).body))


def refusal(body: object, reader: BodyReader = CHAT) -> CallerError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(CallerError) as caught:
        reader.read(content)
    return caught.value


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
        b'{"model":"' + b"x" * 10_000_000 + b'"}',
        b"{" + b",".join(b'"k%d":1' % number for number in range(100_000)) + b"}",
        b'{"model":"chat","messages":[' + b"{}," * 5_000_000 + b"{}]}",
        b'{"model":"chat","messages":[{}],"seed":' + b"9" * 5000 + b"}",
        b'{"model":"chat","messages":[{}],"stop":[' + b'"",' * 5_000_000 + b'""]}',
    ],
)
def test_h06_bombs_are_refused_quickly(content: bytes) -> None:
    assert refusal(content).status in {400, 413}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b'\xef\xbb\xbf{"model":"chat","messages":[{}]}',
        b'{"model":"chat","messages":[{"content":"\xff"}]}',
        b'{"model":"chat","messages":[{}],"unknown":"\xff"}',
        b'{"model":"chat","messages":[{"content":"\\ud800"}]}',
        b'{"model":"chat","messages":[{}],"temperature":NaN}',
        b'{"model":"chat","messages":[{"x":NaN}]}',
        b'{"model":"chat","messages":[{}],"unknown":Infinity}',
        b'{"model":"chat","messages":[{}]} trailing',
    ],
)
def test_h07_what_is_no_json_in_utf_8_is_refused(content: bytes) -> None:
    error = refusal(content)
    assert (error.status, error.code) == (400, "invalid_json")


def nested(levels: int) -> bytes:
    return b'{"not":' * levels + b"{}" + b"}" * levels


ONE_TOO_MANY = b'{"enum":[' + b",".join(b"%d" % number for number in range(ENUM_MAX + 1)) + b"]}"


@pytest.mark.parametrize("field", ["response_format", "chat_template_kwargs", "tools", "functions"])
@pytest.mark.parametrize(
    "schema", [nested(DEPTH_MAX), nested(500), ONE_TOO_MANY, b'"' + b"x" * SCHEMA_BYTES_MAX + b'"']
)
def test_h10_schemas_that_would_keep_an_engine_busy_are_refused(field: str, schema: bytes) -> None:
    value = b'[{"function":%b}]' % schema if field in {"tools", "functions"} else schema
    error = refusal(b'{"model":"chat","messages":[{}],"%b":%b}' % (field.encode(), value))
    assert (error.status, error.code, error.param) == (400, "invalid_value", field)
    assert "simpler" in error.message


def test_h10_ordinary_schemas_pass_as_they_are() -> None:
    wide = {"type": "object", "properties": {f"field_{number}": {"enum": ["a", "b"]} for number in range(400)}}
    for schema in (json.loads(nested(DEPTH_MAX - 1)), wide, {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#"}}}, None):
        assert read({**HELLO, "response_format": schema})["response_format"] == schema
        assert read({**HELLO, "tools": [{"function": schema}]})["tools"] == [{"function": schema}]


@pytest.mark.parametrize("content", [b"[]", b'"text"', b"1", b"null"])
def test_h07_what_is_no_object_is_refused(content: bytes) -> None:
    assert refusal(content).status == 400


def test_h07_of_a_field_that_came_twice_the_replica_gets_one() -> None:
    sent = CHAT.read(b'{"model":"other","model":"chat","messages":[{"role":"a","role":"user","content":"x"}]}')
    assert sent.body == b'{"model":"chat","messages":[{"role":"user","content":"x"}]}'


def test_h07_nul_and_other_escapes_pass_as_they_are() -> None:
    content = b'{"model":"chat","messages":[{"role":"user","content":"\\u0000 \\ud83d\\ude00 \\/"}]}'
    assert CHAT.read(content).body == content


@pytest.mark.parametrize(
    ("field", "content"),
    [
        ("n", 0),
        ("n", 129),
        ("n", 1_000_000),
        ("n", "1"),
        ("top_logprobs", 21),
        ("logit_bias", {str(number): 1 for number in range(100_000)}),
        ("logit_bias", {"1": 101}),
        ("stop", ["x"] * 5),
        ("stop", 1),
        ("max_tokens", -1),
        ("max_tokens", 2**63),
        ("max_tokens", 1.5),
        ("temperature", 3),
        ("temperature", -0.1),
        ("top_p", 1.1),
        ("seed", 2**64),
        ("messages", []),
        ("messages", [{}] * 100_000),
        ("messages", ["text"]),
        ("messages", None),
        ("tools", [{}] * 10_000),
        ("store", True),
        ("stream", "yes"),
    ],
)
def test_h08_a_value_out_of_bounds_is_refused_by_its_name(field: str, content: object) -> None:
    error = refusal(HELLO | {field: content})
    assert (error.status, error.code, error.param) == (400, "invalid_value", field)


def test_h08_many_answers_of_many_tokens_are_refused() -> None:
    assert refusal(HELLO | {"n": 100, "max_tokens": 100_000}).param == "n"


@pytest.mark.parametrize(
    ("reader", "field", "content"),
    [
        (COMPLETIONS, "prompt", []),
        (COMPLETIONS, "prompt", None),
        (COMPLETIONS, "prompt", ["x"] * 2049),
        (COMPLETIONS, "prompt", {"a": 1}),
        (EMBEDDINGS, "input", [[1] * 2] * 100_000),
        (EMBEDDINGS, "input", [1] * 200_000),
        (EMBEDDINGS, "dimensions", 0),
    ],
)
def test_h08_prompts_and_inputs_are_bounded(reader: BodyReader, field: str, content: object) -> None:
    assert refusal({"model": "chat", "prompt": "x", "input": "x", field: content}, reader).param == field


@pytest.mark.parametrize("content", ["text", ["a", "b"], [1, 2, 3] * 1000, [[1, 2], [3]]])
def test_all_four_forms_of_prompts_pass_unchanged(content: object) -> None:
    assert read({"model": "chat", "prompt": content}, COMPLETIONS)["prompt"] == content
    assert read({"model": "chat", "input": content}, EMBEDDINGS)["input"] == content


def test_h09_only_fields_of_the_dialect_reach_the_replica() -> None:
    bad = {"n_discard": -1, "slot_id": 1, "lora": [], "api_base": "http://evil", "service_tier": "flex", "user": "x"}
    assert read(HELLO | bad | {"grammar": "x"}) == HELLO
    assert read(HELLO | bad | {"grammar": {"a": [1.0]}, "model": "other"}) == HELLO | {
        "grammar": {"a": [1.0]},
        "model": "upstream-name",
    }


def test_a_field_of_a_strange_name_can_be_allowed() -> None:
    reader = BodyReader(
        "/chat/completions", {"chat": Dialect(frozenset({"/chat/completions"}), COMMON | {"top-k", "class"})}
    )
    assert read(HELLO | {"top-k": 4, "class": None}, reader) == HELLO | {"top-k": 4, "class": None}


def test_a_stream_is_always_asked_for_its_usage() -> None:
    ask = CHAT.read(json.dumps(HELLO | {"stream": True}).encode())
    assert (ask.streams, ask.wants_usage) == (True, False)
    assert json.loads(ask.body)["stream_options"] == {"include_usage": True}
    options = {"include_usage": True, "include_obfuscation": False}
    ask = CHAT.read(json.dumps(HELLO | {"stream": True, "stream_options": options}).encode())
    assert ask.wants_usage
    assert "stream_options" not in read(HELLO | {"stream": False})


def test_max_completion_tokens_is_said_in_the_replicas_word() -> None:
    assert read(HELLO | {"max_completion_tokens": 7}) == HELLO | {"max_tokens": 7}


def test_unknown_models_and_routes_that_a_model_lacks_are_404() -> None:
    assert refusal(HELLO | {"model": "gpt-99"}).code == "model_not_found"
    error = refusal({"model": "other", "prompt": "x"}, COMPLETIONS)
    assert (error.status, error.param) == (404, "model")


def test_only_who_asks_for_a_rank_has_a_wish() -> None:
    asked = {"service_tier": "flex", "priority": -2}
    assert CHAT.read(json.dumps(HELLO | asked).encode()).wish == Wish("flex", -2)
    assert CHAT.read(json.dumps(HELLO | {"service_tier": None, "priority": None}).encode()).wish == Wish("", None)
    assert CHAT.read(json.dumps(HELLO).encode()).wish is None


@pytest.mark.parametrize(("field", "wrong"), [("service_tier", "gold"), ("priority", "high"), ("priority", 2**40)])
def test_a_rank_that_there_is_not_is_refused(field: str, wrong: object) -> None:
    assert refusal(HELLO | {field: wrong}).param == field


@pytest.mark.parametrize(
    ("best", "asked", "sent"),
    [
        (3, {"service_tier": "priority"}, {"service_tier": "default"}),
        (3, {"service_tier": "flex"}, {"service_tier": "flex"}),
        (1, {"service_tier": "fast"}, {"service_tier": "priority"}),
        (1, {"priority": -50}, {"priority": -2}),
        (1, {"priority": 9}, {"priority": 9}),
    ],
)
def test_o07_a_replica_that_knows_ranks_is_told_no_more_than_the_key_may_have(
    best: int, asked: dict[str, object], sent: dict[str, object]
) -> None:
    reader = BodyReader("/chat/completions", {"chat": Dialect(ALL_ROUTES, COMMON | {"service_tier", "priority"})})
    assert json.loads(reader.read(json.dumps(HELLO | asked).encode(), best).body) == HELLO | sent
