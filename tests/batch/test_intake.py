"""B10: what an input may look like, and what is said of one that may not."""

import json

import pytest

from toque.batch.intake import ERRORS_MAX, Intake, IntakeLimits
from toque.model.batch import Item
from toque.model.errors import CallerError

CHAT = "/v1/chat/completions"


def line(custom_id: str = "a", **changed: object) -> bytes:
    fields = {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": {"model": "chat"}, **changed}
    return json.dumps(fields).encode() + b"\n"


def accept(_body: bytes) -> None:
    """Find nothing wrong."""


def read(*content: bytes, limits: IntakeLimits | None = None) -> tuple[list[Item], list[tuple[int, str, str]]]:
    intake = Intake(CHAT, accept, limits or IntakeLimits())
    items = list(intake.items(content))
    return items, [(error.line, error.code, error.param) for error in intake.errors]


def test_a_good_input_becomes_items_with_their_lines() -> None:
    items, errors = read(line("a") + b"\n" + line("b"))
    assert [(item.line, item.custom_id, item.body) for item in items] == [
        (1, "a", b'{"model": "chat"}'),
        (3, "b", b'{"model": "chat"}'),
    ]
    assert errors == []


def test_lines_may_come_in_any_pieces_end_as_on_windows_and_lack_the_last_end() -> None:
    text = (line("a") + line("b")).replace(b"\n", b"\r\n")[:-2]
    whole, _ = read(text)
    for size in range(1, 40):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        assert read(*pieces) == (whole, [])


@pytest.mark.parametrize(
    ("bad", "code", "param"),
    [
        (b"{broken\n", "invalid_json", ""),
        (b"\xef\xbb\xbf" + line("b"), "invalid_json", ""),
        (line("b").replace(b"chat", b"\xff\xfe"), "invalid_json", ""),
        (b"[]\n", "invalid_line", ""),
        (line("b", method="GET"), "invalid_line", ""),
        (line("a"), "duplicate_custom_id", "custom_id"),
        (line(""), "invalid_custom_id", "custom_id"),
        (line("x" * 513), "invalid_custom_id", "custom_id"),
        (line("b", url="/v1/embeddings"), "mismatched_url", "url"),
    ],
)
def test_b10_a_wrong_line_is_named(bad: bytes, code: str, param: str) -> None:
    _, errors = read(line("a") + bad + line("c"))
    assert errors == [(2, code, param)]


def test_b10_line_seven_of_many_is_named() -> None:
    lines = [line(str(number)) for number in range(1, 11)]
    lines[6] = b"{\n"
    assert read(b"".join(lines))[1] == [(7, "invalid_json", "")]


def test_b10_an_empty_input_is_refused() -> None:
    assert read() == ([], [(0, "empty_file", "")])
    assert read(b"\n\n") == ([], [(0, "empty_file", "")])


def test_b10_an_input_has_50000_lines_at_most() -> None:
    limits = IntakeLimits(lines_max=3)
    assert read(*(line(str(number)) for number in range(3)), limits=limits)[1] == []
    assert read(*(line(str(number)) for number in range(5)), limits=limits)[1] == [(4, "too_many_lines", "")]


def test_b10_a_line_without_end_is_not_held_whole() -> None:
    limits = IntakeLimits(line_bytes_max=1000)
    _, errors = read(b"x" * 900, *[b"x" * 900] * 50, b"\n", line("b"), limits=limits)
    assert errors == [(1, "line_too_large", "")]


def test_b10_an_input_with_nothing_but_errors_is_given_up() -> None:
    _, errors = read(*[b"{\n"] * 1000)
    assert len(errors) == ERRORS_MAX


def test_b10_a_body_that_the_gateway_would_refuse_is_refused_with_its_field() -> None:
    def refuse(_body: bytes) -> None:
        raise CallerError("No such model.", code="model_not_found", param="model")

    intake = Intake(CHAT, refuse, IntakeLimits())
    assert list(intake.items([line()])) == []
    assert [(error.line, error.code, error.param) for error in intake.errors] == [(1, "model_not_found", "body.model")]
