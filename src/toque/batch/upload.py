"""An upload: what a multipart form carries, read while it comes.

Law: a form that is not exactly one file and a few short fields is refused at the first byte too much; nothing of it is
trusted as a path. Blocks, so it is fed off the event loop. Never more of it is held than was fed at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from toque.model.errors import CallerError

PARTS_MAX = 16
FIELD_BYTES_MAX = 1024
FILENAME_CHARS_MAX = 255
FRAMING_BYTES_MAX = 2**16
"""What a form may have beside its file: fields and the heads of parts."""

Sink = Callable[[bytes], None]
"""Takes the next bytes of the file."""


@dataclass
class _Part:
    """One part of a form while it is read. `sink` takes its content where it is the file."""

    fields: dict[bytes, bytes] = field(default_factory=dict)
    title: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    content: bytearray = field(default_factory=bytearray)
    name: str = ""
    sink: Sink | None = None


class Form:
    """Feed it what comes, then `finish`; `fields` are there after that, and `begin_file` was called once.

    `begin_file` is told the file's name, which is the caller's own word: kept and shown, never used as a path.
    """

    def __init__(self, content_type: bytes, begin_file: Callable[[str], Sink]) -> None:
        """Raises `CallerError` for a content type that is no form's."""
        media_type, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if media_type != b"multipart/form-data" or not boundary:
            reason = "Send the file as multipart/form-data with a boundary."
            raise CallerError(reason, status=415, code="unsupported_media_type")
        self._begin_file = begin_file
        self._parts = 0
        self._part = _Part()
        self._has_file = self._is_over = False
        self.fields: dict[str, str] = {}
        try:
            self._parser = MultipartParser(boundary, self._callbacks())  # type: ignore[arg-type]
        except FormParserError as error:
            raise CallerError("The form's boundary is malformed.", code="invalid_form") from error

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises `CallerError`."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise CallerError("The form is malformed.", code="invalid_form") from error

    def finish(self) -> Mapping[str, str]:
        """Return the fields. Raises `CallerError` unless the form is whole and had one file."""
        if not self._is_over:
            raise CallerError("The form ends in the middle.", code="invalid_form")
        if not self._has_file:
            raise CallerError("Send one file, as the part `file`.", param="file")
        return self.fields

    # ---- called by the parser

    def _callbacks(self) -> Mapping[str, object]:
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._take_title,
            "on_header_value": self._take_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._know_part,
            "on_part_data": self._take_content,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        if self._parts == PARTS_MAX:
            raise CallerError(f"A form may have {PARTS_MAX} parts.", code="invalid_form")
        self._parts += 1
        self._part = _Part()

    def _take_title(self, data: bytes, start: int, end: int) -> None:
        self._part.title += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._part.value += data[start:end]

    def _end_header(self) -> None:
        part = self._part
        part.fields[bytes(part.title).lower()] = bytes(part.value)
        part.title.clear()
        part.value.clear()

    def _know_part(self) -> None:
        """The head of a part is whole: it is the file, or a field."""
        part = self._part
        _, options = parse_options_header(part.fields.get(b"content-disposition", b""))
        part.name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in options:
            return
        if self._has_file or part.name != "file":
            raise CallerError("Send one file, as the part `file`.", param="file")
        self._has_file = True
        filename = options[b"filename"].decode("utf-8", "replace").replace("\0", "")
        part.sink = self._begin_file(filename[:FILENAME_CHARS_MAX])

    def _take_content(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if part.sink is not None:
            part.sink(data[start:end])
        elif len(part.content) + end - start > FIELD_BYTES_MAX:
            raise CallerError(f"A field may have {FIELD_BYTES_MAX} bytes.", param=part.name)
        else:
            part.content += data[start:end]

    def _end_part(self) -> None:
        if self._part.sink is None:
            self.fields[self._part.name] = self._part.content.decode("utf-8", "replace")

    def _end(self) -> None:
        self._is_over = True
