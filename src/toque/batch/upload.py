"""An upload: what a multipart form carries.

Law: a form that is not exactly one file and a few short fields is refused; nothing of it is trusted as a path. Blocks for
as long as the body is large, so it is read off the event loop.
"""

from dataclasses import dataclass, field

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from toque.model.errors import CallerError

PARTS_MAX = 16
FIELD_BYTES_MAX = 1024
FILENAME_CHARS_MAX = 255


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it was sent: `filename` is the caller's own word, kept and shown but never used as a path."""

    filename: str
    content: bytes
    fields: dict[str, str]


def read_upload(content_type: bytes, body: bytes) -> Upload:
    """Take the file and the fields out of a form. Raises `CallerError`."""
    media_type, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if media_type != b"multipart/form-data" or not boundary:
        reason = "Send the file as multipart/form-data with a boundary."
        raise CallerError(reason, status=415, code="unsupported_media_type")
    form = _Form()
    try:
        parser = MultipartParser(boundary, form.callbacks(), max_size=len(body))  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except MultipartParseError as error:
        raise CallerError("The form is malformed.", code="invalid_form") from error
    return form.result()


@dataclass
class _Part:
    """One part of a form while it is read."""

    fields: dict[bytes, bytes] = field(default_factory=dict)
    name: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    content: bytearray = field(default_factory=bytearray)


class _Form:
    """Takes what the parser finds."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []
        self._is_over = False

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._part_begins,
            "on_header_field": self._take_name,
            "on_header_value": self._take_value,
            "on_header_end": self._header_ends,
            "on_part_data": self._take_content,
            "on_end": self._end,
        }

    def result(self) -> Upload:
        """Return what came. Raises `CallerError` unless it is whole and has one file."""
        if not self._is_over:
            raise CallerError("The form ends in the middle.", code="invalid_form")
        files, fields = [], {}
        for part in self._parts:
            _, options = parse_options_header(part.fields.get(b"content-disposition", b""))
            name = options.get(b"name", b"").decode("utf-8", "replace")
            if b"filename" in options:
                files.append((name, options[b"filename"].decode("utf-8", "replace"), bytes(part.content)))
            elif len(part.content) > FIELD_BYTES_MAX:
                raise CallerError(f"A field may have {FIELD_BYTES_MAX} bytes.", param=name)
            else:
                fields[name] = part.content.decode("utf-8", "replace")
        if len(files) != 1 or files[0][0] != "file":
            raise CallerError("Send one file, as the part `file`.", param="file")
        _, filename, content = files[0]
        return Upload(filename[:FILENAME_CHARS_MAX], content, fields)

    def _part_begins(self) -> None:
        if len(self._parts) == PARTS_MAX:
            raise CallerError(f"A form may have {PARTS_MAX} parts.", code="invalid_form")
        self._parts.append(_Part())

    def _take_name(self, data: bytes, start: int, end: int) -> None:
        self._parts[-1].name += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._parts[-1].value += data[start:end]

    def _header_ends(self) -> None:
        part = self._parts[-1]
        part.fields[bytes(part.name).lower()] = bytes(part.value)
        part.name.clear()
        part.value.clear()

    def _take_content(self, data: bytes, start: int, end: int) -> None:
        self._parts[-1].content += memoryview(data)[start:end]

    def _end(self) -> None:
        self._is_over = True
