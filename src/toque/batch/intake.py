"""The intake: an input file becomes items, or a list of what is wrong with it, line by line.

Law: a file with one wrong line is refused whole, with every wrong line named (up to a bound); nothing of it runs.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from toque.model.batch import Item, LineError
from toque.model.errors import CallerError

ERRORS_MAX = 100
"""Wrong lines that are told; who has more has one cause."""
BOM = b"\xef\xbb\xbf"

Check = Callable[[bytes], None]
"""Looks at one request body as the gateway would. Raises `CallerError`."""


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """What an input may have; OpenAI's own numbers."""

    lines_max: int = 50_000
    line_bytes_max: int = 8 * 2**20
    custom_id_chars_max: int = 512


class _Line(msgspec.Struct):
    custom_id: str
    method: Literal["POST"]
    url: str
    body: msgspec.Raw


class _Body(msgspec.Struct):
    model: str = ""


_decode = msgspec.json.Decoder(_Line).decode
_decode_body = msgspec.json.Decoder(_Body).decode


class _WrongLineError(Exception):
    """One line cannot be used; `args` are code, message and the field at fault."""

    def __init__(self, code: str, message: str, param: str = "") -> None:
        super().__init__(code, message, param)


class Intake:
    """Reads one input for one endpoint. After `items()` is exhausted, `errors` says whether it can be used.

    `model` is then that of the first request.
    """

    def __init__(self, endpoint: str, check: Check, limits: IntakeLimits) -> None:
        self._endpoint = endpoint
        self._check = check
        self._limits = limits
        self._seen: set[str] = set()
        self.errors: list[LineError] = []
        self.count = 0
        self.model = ""

    def items(self, content: Iterable[bytes]) -> Iterator[Item]:
        """Yield the items of good lines in order, until the errors are too many to go on."""
        for number, line in enumerate(_lines(content, self._limits.line_bytes_max), start=1):
            if not line.strip():
                continue
            try:
                item = self._item(number, line)
            except _WrongLineError as error:
                code, message, param = error.args
                self._refuse(code, message, number, param)
            else:
                self.count += 1
                yield item
            if len(self.errors) >= ERRORS_MAX:
                return
            if self.count > self._limits.lines_max:
                self._refuse("too_many_lines", f"An input may have {self._limits.lines_max} requests.", number)
                return
        if not self.count and not self.errors:
            self._refuse("empty_file", "The input has no requests.", 0)

    def _item(self, number: int, line: bytes) -> Item:
        """Read one line. Raises `_WrongLineError`.

        1. It is no request of a batch. 2. Its name is too long, or there already. 3. It is for another endpoint. 4. The
        gateway would refuse its body.
        """
        found = self._decoded(line)  # 1
        if not 0 < len(found.custom_id) <= self._limits.custom_id_chars_max:  # 2
            reason = f"`custom_id` must have 1 to {self._limits.custom_id_chars_max} characters."
            raise _WrongLineError("invalid_custom_id", reason, "custom_id")
        if "\0" in found.custom_id:
            raise _WrongLineError("invalid_custom_id", "`custom_id` must not have NUL characters.", "custom_id")
        if found.custom_id in self._seen:
            reason = "An earlier line has this `custom_id`."
            raise _WrongLineError("duplicate_custom_id", reason, "custom_id")
        if found.url != self._endpoint:  # 3
            raise _WrongLineError("mismatched_url", f"The batch is for {self._endpoint}.", "url")
        self._seen.add(found.custom_id)
        body = bytes(found.body)
        try:
            self._check(body)
        except CallerError as error:  # 4
            raise _WrongLineError(error.code, error.message, error.param and f"body.{error.param}") from error
        self.model = self.model or _decode_body(body).model
        return Item(number, found.custom_id, body)

    def _decoded(self, line: bytes) -> _Line:
        if len(line) > self._limits.line_bytes_max:
            reason = f"A line may have {self._limits.line_bytes_max} bytes."
            raise _WrongLineError("line_too_large", reason)
        if line.startswith(BOM):
            reason = "The line begins with a byte order mark; write UTF-8 without."
            raise _WrongLineError("invalid_json", reason)
        try:
            line.decode()  # the decoder does not look inside what it leaves unread
            return _decode(line)
        except msgspec.ValidationError as error:
            raise _WrongLineError("invalid_line", f"Not a request of a batch: {error}.") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _WrongLineError("invalid_json", "The line is not valid JSON in UTF-8.") from None

    def _refuse(self, code: str, message: str, line: int, param: str = "") -> None:
        self.errors.append(LineError(code, message, line, param))


def _lines(content: Iterable[bytes], line_bytes_max: int) -> Iterator[bytes]:
    """Cut into lines without their ends. Of a line that is too long, the rest is passed over: it is refused anyway."""
    held = bytearray()
    for piece in content:
        held += piece
        *whole, rest = held.split(b"\n")
        yield from (bytes(line.removesuffix(b"\r")) for line in whole)
        held = rest if len(rest) <= line_bytes_max else rest[: line_bytes_max + 1]
    if held:
        yield bytes(held.removesuffix(b"\r"))
