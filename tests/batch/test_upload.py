"""H11: what a form may look like; whatever it is, it is told at once."""

from collections.abc import Callable

import pytest

from toque.batch.upload import PARTS_MAX, Form
from toque.model.errors import CallerError

TYPE = b"multipart/form-data; boundary=edge"


def part(name: str, content: bytes, filename: str = "") -> bytes:
    file = f'; filename="{filename}"' if filename else ""
    head = f'--edge\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + content + b"\r\n"


END = b"--edge--\r\n"
FILE = part("file", b'{"a": 1}\r\n{"b": 2}', "in.jsonl")


def read(content_type: bytes, body: bytes, piece_bytes: int = 0) -> tuple[str, bytes, dict[str, str]]:
    """Return name and content of the file and the fields, of a form that comes in pieces of so many bytes."""
    names, content = [], bytearray()

    def begin(filename: str) -> Callable[[bytes], None]:
        names.append(filename)
        return content.extend

    form = Form(content_type, begin)
    step = piece_bytes or len(body) or 1
    for start in range(0, len(body), step):
        form.feed(body[start : start + step])
    fields = dict(form.finish())
    (name,) = names
    return name, bytes(content), fields


@pytest.mark.parametrize("piece_bytes", [0, 1, 2, 3, 7, 64])
def test_a_form_becomes_a_file_and_its_fields_whatever_pieces_it_comes_in(piece_bytes: int) -> None:
    whole = part("purpose", b"batch") + FILE + part("late", b"too") + END
    assert read(TYPE, whole, piece_bytes) == (
        "in.jsonl",
        b'{"a": 1}\r\n{"b": 2}',
        {"purpose": "batch", "late": "too"},
    )


def test_a_name_that_looks_like_a_path_is_only_a_name() -> None:
    assert read(TYPE, part("file", b"x", "../../etc/passwd") + END)[0] == "../../etc/passwd"


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        (b"application/json", b"{}", 415, "unsupported_media_type"),
        (b"multipart/form-data", FILE + END, 415, "unsupported_media_type"),
        (b"", b"", 415, "unsupported_media_type"),
        (TYPE, b"no boundary at all", 400, "invalid_form"),
        (TYPE, FILE, 400, "invalid_form"),
        (b"multipart/form-data; boundary=" + b"x" * 300, END, 400, "invalid_form"),
        (TYPE, END, 400, "invalid_value"),
        (TYPE, FILE + FILE + END, 400, "invalid_value"),
        (TYPE, part("other", b"x", "in.jsonl") + END, 400, "invalid_value"),
        (TYPE, part("purpose", b"x" * 2000) + FILE + END, 400, "invalid_value"),
        (TYPE, part("purpose", b"batch") * (PARTS_MAX + 1) + END, 400, "invalid_form"),
        (TYPE, b"--edge\r\nX-Long: " + b"y" * 100_000 + b"\r\n\r\nx\r\n" + END, 400, "invalid_form"),
    ],
)
def test_h11_a_form_that_is_none_is_refused(content_type: bytes, body: bytes, status: int, code: str) -> None:
    with pytest.raises(CallerError) as refused:
        read(content_type, body)
    assert (refused.value.status, refused.value.code) == (status, code)


def test_h11_a_hundred_thousand_parts_are_refused_at_the_first_too_many() -> None:
    with pytest.raises(CallerError, match="16 parts"):
        read(TYPE, part("p", b"x") * 100_000 + END)
