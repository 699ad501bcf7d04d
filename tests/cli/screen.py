"""A terminal that remembers what was written on it."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

from toque.cli.entry import run
from toque.cli.terminal import Terminal


class Stream(io.StringIO):
    """A text stream that may claim to be a terminal."""

    def __init__(self, text: str = "", *, is_terminal: bool = False) -> None:
        super().__init__(text)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@dataclass
class Screen:
    """Runs commands and keeps what they print."""

    environment: Mapping[str, str] = field(default_factory=dict)
    typed: str = ""
    is_terminal: bool = False

    def __post_init__(self) -> None:
        self._out = Stream(is_terminal=self.is_terminal)
        self._err = Stream(is_terminal=self.is_terminal)
        self.terminal = Terminal(Stream(self.typed), self._out, self._err, self.environment)

    def run(self, *argv: str) -> int:
        """Run a command and return its exit status."""
        return run(argv, self.terminal)

    @property
    def shown(self) -> str:
        """Standard output."""
        return self._out.getvalue()

    @property
    def said(self) -> str:
        """Standard error."""
        return self._err.getvalue()
