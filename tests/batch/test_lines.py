"""What people have becomes lines of a batch."""

import json

from toque.batch.lines import whole_lines


def test_a_body_alone_is_named_by_its_line_and_a_whole_line_keeps_its_name() -> None:
    source = [b'{"prompt": "a"}\n', b'{"custom_id": "b", "body": {"prompt": "b", "model": "x"}}\n']
    first, second = (json.loads(line) for line in whole_lines(source, "/v1/completions", "chat"))
    common = {"method": "POST", "url": "/v1/completions"}
    assert first == {"custom_id": "line-1", "body": {"prompt": "a", "model": "chat"}, **common}
    assert second == {"custom_id": "b", "body": {"prompt": "b", "model": "chat"}, **common}


def test_without_a_model_each_request_keeps_its_own() -> None:
    (line,) = whole_lines([b'{"model": "x"}'], "/v1/completions", "")
    assert json.loads(line)["body"] == {"model": "x"}


def test_what_cannot_be_read_is_passed_on() -> None:
    broken = [b"{", b"[1]", b'{"custom_id": 1, "body": "text"}']
    assert list(whole_lines(broken, "/v1/completions", "chat")) == broken
