"""What a starting service says to whoever started it, step by step.

Law: these are for people; no decision depends on one.
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Assumed:
    """Something the configuration left open, and what was chosen."""

    text: str


@dataclass(frozen=True, slots=True)
class Fetching:
    """The embedded model is being fetched; `ratio` from 0 to 1."""

    name: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Listening:
    """The door is open. `admin_url` is empty when there is no admin listener."""

    url: str
    admin_url: str


@dataclass(frozen=True, slots=True)
class Loading:
    """A replica of this model loads; `ratio` from 0 to 1."""

    model: str
    ratio: float


@dataclass(frozen=True, slots=True)
class ModelReady:
    """A replica of this model answers; `seconds` since it was ordered."""

    model: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ModelFailed:
    """A replica of this model died or never came up."""

    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class Draining:
    """The service ends; requests in flight may take this long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Settings that were read anew hold now (`is_dry_run`: would hold).

    `changes` are lines `- NAME = BEFORE` and `+ NAME = AFTER`; `consequences` say what that means for whom.
    """

    changes: tuple[str, ...]
    consequences: tuple[str, ...]
    is_dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ReloadRefused:
    """Settings that were read anew cannot be used; the old ones hold."""

    reason: str


@dataclass(frozen=True, slots=True)
class StandsReady:
    """A controller stands for election under this name. `admin_url` is empty when there is no admin listener."""

    name: str
    admin_url: str


@dataclass(frozen=True, slots=True)
class Turned:
    """A controller begins to lead, or ceases to; `reason` is why it cannot lead, or ceased."""

    is_leading: bool
    reason: str = ""


Announcement: TypeAlias = (
    Assumed
    | Fetching
    | Listening
    | Loading
    | ModelReady
    | ModelFailed
    | Draining
    | Reloaded
    | ReloadRefused
    | StandsReady
    | Turned
)
