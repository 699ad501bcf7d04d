"""A contradiction: settings that are each valid alone, and not together.

Law: it says what is wrong, where, and what to write instead; it never repairs.
"""

from dataclasses import dataclass

from toque.config.source import KeyPath


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What is wrong, at which setting, and what to write instead."""

    path: KeyPath
    message: str
    fix: str
