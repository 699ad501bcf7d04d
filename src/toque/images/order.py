"""What an image is made of: the words of this floor.

Law: everything that decides about a byte of the image stands here, so that two equal orders give one digest.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from toque.model.agent_spec import ModelSpec

EPOCH_S = 315_532_800
"""1980-01-01, in seconds since 1970: the time of every file where SOURCE_DATE_EPOCH names none. No archive knows an earlier one."""
SETTINGS_PATH = "/etc/toque/toque.toml"
PORT = 8080


class Weights(StrEnum):
    """Where a replica has its model from: a layer of the image, a volume at `MODELS_DIR`, or an address it fetches at its start."""

    BAKED = "baked"
    VOLUME = "volume"
    FETCHED = "fetched"


@dataclass(frozen=True, slots=True)
class Base:
    """What an image stands on. `suite`: a Debian root made here; else `reference` names an image that has Python.

    `python` is its version, such as 3.11; `glibc_minor` the newest 2.x whose wheels may go in.
    """

    python: str
    glibc_minor: int
    suite: str = ""
    reference: str = ""


DEBIAN = {"bookworm": Base("3.11", 36, suite="bookworm"), "trixie": Base("3.13", 41, suite="trixie")}
"""Debian's releases that have a Python new enough."""
GLIBC_MINOR_COMMON = 28
"""Of an image that somebody else made: what the oldest releases in use have."""


@dataclass(frozen=True, slots=True)
class ImageOrder:
    """One image. `model` None: toque itself, without any model.

    `settings` is the text of its settings file. `code` are folders and files of the user's that go beside toque's own.
    `requirements`: further pinned packages that this code needs. `weights_url` and `weights_sha256` are for `Weights.FETCHED`.
    """

    base: Base
    settings: str
    model: ModelSpec | None = None
    weights: Weights = Weights.BAKED
    weights_url: str = ""
    weights_sha256: str = ""
    code: tuple[Path, ...] = ()
    requirements: Path | None = None
    apt_sources: Path | None = None
    epoch_s: int = EPOCH_S
    title: str = field(default="toque")

    @property
    def source(self) -> Path | None:
        """The model's file on this machine; None for an image without a file of ours."""
        return Path(self.model.agent.source) if self.model is not None and self.model.agent.source else None
