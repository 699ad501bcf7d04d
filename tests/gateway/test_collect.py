"""Plain answers put together from streams are what the replica would have answered in one piece."""

import json
from typing import Any

import msgspec
import pytest

from toque.gateway.collect import CollectedAnswer


def collected(*chunks: dict[str, Any], is_chat: bool = True) -> dict[str, Any]:
    answer = CollectedAnswer(is_chat=is_chat)
    for chunk in chunks:
        answer.add(json.dumps(chunk).encode())
    answer.add(b"[DONE]")
    assert answer.is_whole()
    whole: dict[str, Any] = json.loads(answer.encode())
    return whole


def piece(index: int = 0, finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "finish_reason": finish_reason}
    return {"id": "c1", "created": 7, "model": "chat", "choices": [choice]}


def test_the_words_of_a_stream_become_one_message() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    whole = collected(
        piece(role="assistant", content=None),
        piece(content="Hel"),
        piece(content="lo"),
        piece(finish_reason="stop"),
        {"choices": [], "usage": usage},
    )
    assert whole["object"] == "chat.completion"
    assert (whole["id"], whole["created"], whole["model"], whole["usage"]) == ("c1", 7, "chat", usage)
    (choice,) = whole["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Hello"}
    assert (choice["finish_reason"], choice["logprobs"]) == ("stop", None)


def test_choices_that_come_interleaved_are_kept_apart() -> None:
    whole = collected(
        piece(1, content="b"), piece(0, content="a"), piece(1, "length", content="B"), piece(0, "stop", content="A")
    )
    texts = [(choice["index"], choice["message"]["content"], choice["finish_reason"]) for choice in whole["choices"]]
    assert texts == [(0, "aA", "stop"), (1, "bB", "length")]


def test_a_tool_call_in_fragments_becomes_whole() -> None:
    def fragment(**function: str) -> dict[str, Any]:
        return {"index": 0, "function": function}

    whole = collected(
        piece(tool_calls=[{"index": 0, "id": "t1", "type": "function", "function": {"name": "add", "arguments": ""}}]),
        piece(tool_calls=[fragment(arguments='{"a":')]),
        piece(tool_calls=[fragment(arguments="1}")]),
        piece(finish_reason="tool_calls"),
    )
    message = whole["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"] == [
        {"id": "t1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    ]


def test_log_probabilities_and_thoughts_are_kept() -> None:
    first, second = {"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -0.2}
    chunk = piece(content="a", reasoning_content="hm")
    chunk["choices"][0]["logprobs"] = {"content": [first]}
    last = piece(finish_reason="stop", content="b")
    last["choices"][0]["logprobs"] = {"content": [second]}
    (choice,) = collected(chunk, last)["choices"]
    assert choice["logprobs"] == {"content": [first, second]}
    assert choice["message"]["reasoning_content"] == "hm"


def test_a_text_completion_has_its_own_shape() -> None:
    chunks = [
        {"choices": [{"index": 0, "text": text, "finish_reason": end}]} for text, end in (("a", None), ("b", "stop"))
    ]
    whole = collected(*chunks, is_chat=False)
    assert whole["object"] == "text_completion"
    assert whole["choices"] == [{"index": 0, "text": "ab", "finish_reason": "stop", "logprobs": None}]


def test_an_answer_without_a_reason_for_its_end_is_not_whole() -> None:
    answer = CollectedAnswer(is_chat=True)
    assert not answer.is_whole()
    answer.add(json.dumps(piece(content="Hel")).encode())
    assert not answer.is_whole()


def test_what_is_no_chunk_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        CollectedAnswer(is_chat=True).add(b'{"choices": [{"index": "x"}]}')


def test_tokens_are_read_from_the_usage_and_zero_without_one() -> None:
    answer = CollectedAnswer(is_chat=True)
    assert answer.tokens() == (0, 0)
    answer.add(b'{"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":9}}')
    assert answer.tokens() == (4, 9)
