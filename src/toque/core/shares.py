"""Shares: how the slots of a pool are divided among gateways, by what each has to do.

Law: the parts add up to all there is. A request counts the same whichever gateway it came to: where slots are scarce, each
gateway gets as its part of the people is, and what cannot be divided goes to whom somebody has waited longest.
"""

from collections.abc import Sequence

from toque.model.value import value

NEXT = 1
"""Slots that each gateway has free for whoever comes next, as far as they go: a quiet one serves at once."""

MANY = 16
"""Slots for each gateway that are so many that one each may be idle: a sixteenth at most, and less wherever people come to all gateways."""


@value
class Need:
    """What one gateway has to do: people and batch, both in flight or waiting; since when the first of the people waits.

    `held` are the slots it has already, which it rather keeps.
    """

    people: int
    batch: int
    since: float
    held: int


def share_out(total: int, needs: Sequence[Need]) -> list[int]:
    """Divide `total` slots.

    1. All get what they need, and what is left evenly. 2. Batch needs more than there is: people, then the next one at each
    gateway, but with no more than half of what is left, then batch. 3. People do: each gateway by its part of them, but where
    there are many slots each has one, so that none is without while no controller is there to ask.
    """
    if sum(need.people + need.batch for need in needs) <= total:  # 1
        return _evenly(total, [need.people + need.batch for need in needs], needs)
    is_crowded = sum(need.people for need in needs) > total  # 3
    first = 1 if is_crowded and total >= MANY * len(needs) else 0
    people = _in_proportion(total - first * len(needs), [max(0, need.people - first) for need in needs], needs)
    parts = [part + first for part in people]
    left = total - sum(parts)
    for index in _keenest(needs, parts)[: left - left // 2]:  # 2
        parts[index] += NEXT
    left = total - sum(parts)
    batch = _in_proportion(left, [need.batch for need in needs], needs)
    return _evenly(total, [part + more for part, more in zip(parts, batch, strict=True)], needs)


def _evenly(total: int, parts: list[int], needs: Sequence[Need]) -> list[int]:
    """Add what is left to all alike, odd ones where most is held already."""
    each, odd = divmod(total - sum(parts), len(needs)) if needs else (0, 0)
    parts = [part + each for part in parts]
    for index in _keenest(needs, parts)[:odd]:
        parts[index] += 1
    return parts


def _in_proportion(total: int, wanted: Sequence[int], needs: Sequence[Need]) -> list[int]:
    """Give everybody what is wanted, or in proportion to it; the rests go by whose waiting is the longest."""
    all_wanted = sum(wanted)
    if all_wanted <= total:
        return list(wanted)
    parts = [total * want // all_wanted for want in wanted]
    rested = [index for index, want in enumerate(wanted) if total * want % all_wanted]
    rested.sort(key=lambda index: (needs[index].since, parts[index] - needs[index].held, index))
    for index in rested[: total - sum(parts)]:
        parts[index] += 1
    return parts


def _keenest(needs: Sequence[Need], parts: Sequence[int]) -> list[int]:
    """Order gateways: those first that hold most beyond their part, so that as little as possible moves."""
    return sorted(range(len(needs)), key=lambda index: (parts[index] - needs[index].held, index))
