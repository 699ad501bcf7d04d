"""Ten tenants of unequal appetite on one model, all of them wanting more than their share.

Law: what a tenant got is the tokens served for it within the window, its prompts and its answers; every one could have used more.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path

from clients import Asked, Asking, Door, crowd, jain, talker
from served import serving

CLIENTS = (6, 6, 8, 8, 16, 16, 24, 24, 48, 48)
"""Of each tenant; 204 in all for eight slots."""
TOKENS = (40, 10)
"""Length of the answers, in turn: every second tenant asks for short ones, and is owed as many tokens."""
SETTINGS = """
[models.chat]
agent = "fake"
slots = 8
options = { ttft_s = 0.01, token_gap_s = 0.005, tokens = 40 }
replicas = { minimum_warm = 1, maximum = 1 }
"""
PROMPT_WORDS = 10
PROMPT_TOKENS = PROMPT_WORDS + 2
"""To the fake model a word is a token; two more say which story it is."""
WARM_UP_S = 2.0


def fairness(folder: Path, *, quick: bool) -> Mapping[str, object]:
    """Return Jain's index of the tokens served, and what it would be in order of arrival."""
    keys = [f"bench-{number:02d}-{'x' * 24}" for number in range(len(CLIENTS))]
    tables = [
        f'[keys.tenant{number}]\nsha256 = "{hashlib.sha256(key.encode()).hexdigest()}"\n'
        for number, key in enumerate(keys)
    ]
    with serving(SETTINGS + "".join(tables), folder) as service:
        served = asyncio.run(_serve([Door(service.url, key) for key in keys], 4.0 if quick else 30.0))
    answered = [sum(one.tokens for one in asked) for asked in served]
    tokens = [sum(one.tokens + PROMPT_TOKENS for one in asked) for asked in served]
    appetites = [clients * (TOKENS[number % 2] + PROMPT_TOKENS) for number, clients in enumerate(CLIENTS)]
    return {
        "clients": ", ".join(map(str, CLIENTS)),
        "tokens_served": ", ".join(map(str, tokens)),
        "answers_served": ", ".join(str(len(asked)) for asked in served),
        "jain": jain(tokens),
        "jain_of_the_answers_tokens_alone": jain(answered),
        "jain_in_order_of_arrival": jain(appetites),
        "not_answered": sum(not one.is_whole for asked in served for one in asked),
    }


async def _serve(doors: list[Door], seconds: float) -> list[list[Asked]]:
    """Let all ask, and return what ended after the warm-up."""
    ends, is_warm = asyncio.Event(), asyncio.Event()
    served: list[list[Asked]] = [[] for _ in doors]

    def keeping(number: int, asking: Asking) -> Asking:
        async def ask(turn: int) -> Asked:
            asked = await asking(turn)
            if is_warm.is_set():
                served[number].append(asked)
            return asked

        return ask

    async with asyncio.TaskGroup() as group:
        for number, door in enumerate(doors):
            asking = talker(door, PROMPT_WORDS, TOKENS[number % 2], number * 100_000)
            group.create_task(crowd(CLIENTS[number], ends, keeping(number, asking)))
        await asyncio.sleep(WARM_UP_S)
        is_warm.set()
        await asyncio.sleep(seconds)
        ends.set()
    return served
