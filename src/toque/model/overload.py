"""Overload: how far the gateway has stepped down, and when it does.

Law: what costs a client least comes first, and batch goes before people.
"""

from dataclasses import dataclass
from enum import IntEnum

from toque.model.setting import Setting, setting


class Stage(IntEnum):
    """What the gateway no longer does; each stage includes those below it."""

    NORMAL = 0
    NO_KEEP_ALIVE = 1
    SHED_BATCH = 2
    SHED_ALL = 3
    STOP_ACCEPTING = 4


@dataclass(frozen=True, slots=True)
class OverloadSpec:
    """When the gateway protects itself. Memory is its own (replicas have their budget in `capacity`)."""

    memory_bytes_max: int = setting(
        0,
        Setting(
            "What the gateway's own resident memory is measured against (0: the least of its control group's limit, "
            "its process limits and the machine's memory).",
            "bytes",
            minimum=0,
        ),
    )
    keep_alive_ratio: float = setting(
        0.92,
        Setting(
            "From this share of the memory, connections close after each answer: idle ones are the cheapest to give up.",
            above=0,
        ),
    )
    shed_batch_ratio: float = setting(
        0.95, Setting("From this share, batch requests are refused: jobs can wait.", above=0)
    )
    shed_all_ratio: float = setting(
        0.96, Setting("From this share, all new requests are refused; those in flight go on.", above=0)
    )
    accept_ratio: float = setting(
        0.97, Setting("From this share, no connection is accepted: the next step would be the kernel's.", above=0)
    )
    memory_calm_s: float = setting(
        5.0,
        Setting(
            "Memory must stay 2 points below a step this long before it is taken back: allocators give back slowly.",
            "s",
            minimum=0,
        ),
    )
    loop_lag_s_max: float = setting(
        0.25,
        Setting(
            "If the event loop is late by more than this, batch is refused; if it is late twice in a row, everybody: "
            "a token's usual gap is a tenth of it.",
            "s",
            above=0,
        ),
    )
    open_files_ratio: float = setting(
        0.9,
        Setting(
            "From this share of the descriptors a process may have open, no connection is accepted and new requests are "
            "refused: the rest is for connections to replicas and their probes.",
            above=0,
            maximum=1,
        ),
    )
