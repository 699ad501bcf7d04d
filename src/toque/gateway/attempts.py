"""Which kind of attempt a request needs."""

from toque.gateway.attempt import Attempt, Customer, PlainAttempt, StreamAttempt
from toque.gateway.collect import CollectedAttempt
from toque.gateway.openai import CHAT, Ask


def new_attempt(customer: Customer, ask: Ask, path: str, held_bytes_max: int) -> Attempt:
    """Make one attempt at a request; it begins when it is sent."""
    if ask.streams:
        return StreamAttempt(customer, keeps_usage=ask.wants_usage, model=ask.answers_as)
    if ask.collects:
        return CollectedAttempt(customer, is_chat=path == CHAT, model=ask.answers_as)
    return PlainAttempt(customer, held_bytes_max=held_bytes_max)
