"""Settings of isolation: what the replicas of one model may take from their neighbours on the same machine.

Law: nothing said means nothing changed. Each word has a counterpart where replicas run elsewhere (ADR 0013): a class, a weight
(request), a maximum (limit), cores (affinity).
"""

from dataclasses import dataclass

from toque.model.setting import Setting, setting

NICE_MAX = 19
"""The least wish for the processor that there is (`man 7 sched`)."""
CORES_MAX = 4096
"""Cores are numbered below this; no Linux has more unless it was built for it."""


@dataclass(frozen=True, slots=True)
class IsolationSpec:
    """What the replicas of this model may take from their neighbours on this machine. All of it is each replica's."""

    service_class: str = setting(
        "interactive",
        Setting(
            "What its replicas work for. `batch`: they get the processor when nobody else wants it (idle scheduling, nice "
            "19), and are the first to go when memory is short.",
            choices=("interactive", "batch"),
        ),
    )
    scheduling: str = setting(
        "class",
        Setting(
            "How the kernel schedules its replicas; `class`: idle for batch, else normal. `batch` (SCHED_BATCH) only makes "
            "wake-ups rarer: it protects nobody.",
            choices=("class", "normal", "batch", "idle"),
        ),
    )
    nice: int = setting(
        0,
        Setting(
            "Niceness of its replicas (0: 19 for batch, else unchanged); each step is worth a tenth less processor beside "
            "others.",
            minimum=0,
            maximum=NICE_MAX,
        ),
    )
    cores: str = setting(
        "",
        Setting("Cores its replicas may run on, such as `0-3` or `2,5-7` (empty: every core toque may run on)."),
    )
    cpu_weight: int = setting(
        0,
        Setting(
            "Share of the processor beside other weights when there is not enough for all; 100 is what everybody has who "
            "says nothing (0: nothing said). Needs control groups.",
            minimum=0,
            maximum=10_000,
        ),
    )
    cpu_max: float = setting(
        0.0,
        Setting(
            "Cores' worth of time a replica may use at most, also when others idle (0: any). Needs control groups.",
            "cores",
            minimum=0,
            maximum=CORES_MAX,
        ),
    )
    memory_bytes_max: int = setting(
        0,
        Setting(
            "Memory of a replica at most; the kernel kills it there, and nobody else (0: any). Needs control groups.",
            "bytes",
            minimum=0,
        ),
    )

    @property
    def is_batch(self) -> bool:
        """Whether its replicas are to give way to all others."""
        return self.service_class == "batch"

    @property
    def niceness(self) -> int:
        """The niceness that its replicas get; 0 leaves it alone."""
        return self.nice or (NICE_MAX if self.is_batch else 0)

    @property
    def discipline(self) -> str:
        """How the kernel is to schedule its replicas: `normal`, `batch` or `idle`."""
        if self.scheduling == "class":
            return "idle" if self.is_batch else "normal"
        return self.scheduling

    @property
    def limits_cpu(self) -> bool:
        """Whether a weight or a maximum is set, for which a replica needs a control group of its own."""
        return bool(self.cpu_weight or self.cpu_max)


FREE = IsolationSpec()
"""Nothing said."""


def read_cores(text: str) -> frozenset[int]:
    """Return the cores that a list such as `0-3,8` names. Raises `ValueError` for one that is none."""
    return frozenset(core for part in text.split(",") for core in _range(part))


def _range(part: str) -> range:
    first, dash, last = (word.strip() for word in part.partition("-"))
    if not first.isdecimal() or not (last.isdecimal() if dash else not last):
        raise ValueError(f"{part.strip()!r} is neither a core nor a range of cores")
    cores = range(int(first), int(last or first) + 1)
    if not cores:
        raise ValueError(f"{part.strip()!r} ends before it begins")
    if cores[-1] >= CORES_MAX:
        raise ValueError(f"there is no core {cores[-1]}: they are numbered below {CORES_MAX}")
    return cores
