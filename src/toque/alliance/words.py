"""The words between a gateway and its controller, as they go over the wire.

Law: replicas go by their `mark`, which is the same for every controller; numbers are of one process. Slots are told as
differences, all else as it is now. A word that is not understood ends the connection.
"""

from typing import TypeAlias

import msgspec

from toque.model.agent_spec import ModelSpec
from toque.model.cluster import PoolLoad
from toque.model.ticket import RefusalReason

VERSION = 1
"""Of these words. Both sides must speak the same; while a cluster is renewed, gateways serve on with what they have."""


class Word(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, forbid_unknown_fields=True):
    """One word."""


class Beat(Word, frozen=True):
    """Nothing to say, but here: both sides say it when they have been silent for a while."""


# ---- what a gateway says ---------------------------------------------------------------------------------------------


class Hello(Word, frozen=True):
    """The answer to a challenge: who it is, which process of that name, and all slots it holds by replica."""

    version: int
    gateway: str
    incarnation: str
    held: dict[str, int] = {}
    nonce: str = ""
    proof: str = ""


class Report(Word, frozen=True):
    """Loads that changed, and slots that go back, by replica."""

    loads: dict[str, PoolLoad] = {}
    returned: dict[str, int] = {}


class Bye(Word, frozen=True):
    """The last word: it serves nobody any more, and holds nothing."""


FromGateway: TypeAlias = Hello | Report | Bye | Beat

# ---- what a controller says ------------------------------------------------------------------------------------------


class Challenge(Word, frozen=True):
    """The first word of a connection: what a gateway proves itself by, with the token that both know."""

    nonce: str


class Welcome(Word, frozen=True):
    """The answer to a hello by whoever leads, which proves itself too."""

    controller: str
    proof: str = ""


class Refusal(Word, frozen=True):
    """The answer by whoever does not serve this gateway, and why."""

    reason: str


class Models(Word, frozen=True):
    """All models there are, with all that a gateway needs of their settings."""

    models: tuple[ModelSpec, ...]


class Offer(Word, frozen=True):
    """One replica that takes requests, and where it is. `key` is what it asks of callers."""

    mark: str
    pool: str
    host: str
    port: int
    path_prefix: str = ""
    secure: bool = False
    key: str = ""


class Withdrawn(Word, frozen=True):
    """A replica is to take nothing new."""

    mark: str


class Gone(Word, frozen=True):
    """Nothing is left of a replica."""

    mark: str


class Granted(Word, frozen=True):
    """So many more slots of a replica."""

    mark: str
    count: int


class Capped(Word, frozen=True):
    """So many slots of a pool may stay (None: all), and whether people wait for the others."""

    pool: str
    most: int | None = None
    for_people: bool = False


class Prospect(Word, frozen=True):
    """Why no replica of a pool is expected soon (None: one is)."""

    pool: str
    reason: RefusalReason | None = None


FromLeader: TypeAlias = (
    Challenge | Welcome | Refusal | Models | Offer | Withdrawn | Gone | Granted | Capped | Prospect | Beat
)
