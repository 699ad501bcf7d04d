"""The terminal a command talks to: its two streams, whether they are watched by a person, and the environment.

Law: no colour and no moving text where the stream is no terminal, NO_COLOR is set or TERM is dumb.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

_COMMANDS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
STYLES = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "dim": "2"}


@dataclass(frozen=True, slots=True)
class Terminal:
    """`out` takes what was asked for, `err` what is said about it; `inp` is where a person types."""

    inp: TextIO
    out: TextIO
    err: TextIO
    environment: Mapping[str, str]

    def show(self, text: str = "", end: str = "\n") -> None:
        """Write a line, or with another `end` a piece, of what was asked for."""
        print(text, end=end, file=self.out, flush=True)

    def harmless(self, text: str) -> str:
        """Take from a stranger's text what would command the terminal; a pipe gets it as it is."""
        return text.translate(_COMMANDS) if self.out.isatty() else text

    def show_json(self, content: object) -> None:
        """Write what was asked for as one JSON value on a line."""
        self.show(json.dumps(content, ensure_ascii=False))

    def say(self, text: str) -> None:
        """Write a line about what happens."""
        print(text, file=self.err, flush=True)

    def paint(self, text: str, style: str, stream: TextIO) -> str:
        """Put a text into one of STYLES where the stream shows it."""
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self.is_lively(stream) else text

    def is_lively(self, stream: TextIO) -> bool:
        """Say whether colour and movement are welcome there."""
        is_plain = self.environment.get("NO_COLOR") or self.environment.get("TERM") == "dumb"
        return stream.isatty() and not is_plain
