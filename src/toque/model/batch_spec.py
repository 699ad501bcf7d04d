"""What batch may take of a pool, and when it gives it back.

Law: with the defaults batch uses every idle slot and no replica of its own, and people get a slot from it at once.
"""

from dataclasses import dataclass

from toque.model.setting import Setting, setting


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """Requests of class batch in one pool, beside those that somebody waits for."""

    reserve_ratio: float = setting(
        0.0,
        Setting(
            "Share of the slots that batch never holds, rounded up; one slot is always left to it. 0: what batch holds is "
            "given up at once, so a slot kept empty would be work not done.",
            minimum=0,
            maximum=1,
        ),
    )
    reserve_min: int = setting(0, Setting("Slots that batch never holds at the least; see reserve_ratio.", minimum=0))
    headroom: int = setting(
        0,
        Setting(
            "Free slots that batch leaves for bursts: it begins nothing in them. People may fill them, and then its aged "
            "requests may follow (queue.ageing_s).",
            minimum=0,
        ),
    )
    replicas: int = setting(
        0,
        Setting(
            "Replicas more than people's load asks for while batch waits. 0: batch lives on what is idle; only an empty "
            "pool starts one for it.",
            minimum=0,
        ),
    )
    preempt_patience_s: float = setting(
        0.005,
        Setting(
            "A request that somebody waits for gets a slot of batch when it would wait longer than this: a tenth of a quick "
            "first token. Larger values are waited out almost always where there are many slots, and hardly save work.",
            "s",
            minimum=0,
        ),
    )
    preemptions_max: int = setting(
        3,
        Setting(
            "A batch request put back this often may keep its next slot to the end, as far as queue.batch_share_ratio of "
            "the pool's slot time reaches for all such: each job ends some time. 0: batch is never preempted.",
            minimum=0,
        ),
    )
