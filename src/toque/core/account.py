"""A tenant's account: what its key may still use of its limits a minute, at once and a day.

Law: pure. What a request is expected to take is set aside when it is admitted and settled once, when it has ended; a day's
budget admits while any of it is left, so a request more than expected is all that a limit is ever overdrawn by. `now` is
seconds since 1970 of a clock that never goes back; the days are those of UTC.
"""

from math import floor

from toque.core.bucket import Bucket
from toque.model.fallback_spec import PriceSpec
from toque.model.usage import KeyLimitSpec, Standing, Use
from toque.model.value import value

DAY_S = 86_400
OUTPUT_TOKENS_GUESS = 256
"""What an answer is taken to have, where its request does not say and none has ended yet."""
CROWDED_WAIT_S = 1.0
"""When to come again with too many requests under way: nobody knows when one of them ends."""

_WEIGHT = 0.1
NOTHING = Use()


@value
class Excess:
    """Which limit is used up, in words; how long until a request like this one passes; whether it is the day's."""

    limit: str
    wait_s: float
    is_of_day: bool = False


class Account:
    """One for each key with limits. Where it `counts_days`, `used` is what was used on `day`, counted in days since 1970."""

    __slots__ = (
        "_ahead_cost",
        "_ahead_tokens",
        "_in_flight",
        "_output_tokens",
        "_requests",
        "_spec",
        "_tokens",
        "counts_days",
        "day",
        "used",
    )

    def __init__(self, spec: KeyLimitSpec, now: float) -> None:
        self._spec = spec
        self.counts_days = spec.counts_days
        self._requests = _bucket(spec.requests_per_minute, None, now)
        self._tokens = _bucket(spec.tokens_per_minute, None, now)
        self._in_flight = 0
        self._output_tokens = float(OUTPUT_TOKENS_GUESS)
        self._ahead_tokens = 0
        self._ahead_cost = 0.0
        self.day = day_of(now)
        self.used = NOTHING

    def revise(self, spec: KeyLimitSpec, now: float) -> None:
        """Go by other limits; what was used stays used."""
        self._spec = spec
        self.counts_days = spec.counts_days
        self._requests = _bucket(spec.requests_per_minute, self._requests, now)
        self._tokens = _bucket(spec.tokens_per_minute, self._tokens, now)

    def learn(self, day: int, used: Use) -> None:
        """Take over what was used on a day in all: before a restart, or by other gateways too."""
        if day == self.day:
            self.used = used

    def expect(self, prompt_tokens: int, output_tokens_max: int, price: PriceSpec) -> Use:
        """Return what a request will take at most, or where it does not say so, as usual."""
        output_tokens = output_tokens_max or round(self._output_tokens)
        return Use(prompt_tokens + output_tokens, price.cost(prompt_tokens, output_tokens))

    def admit(self, expected: Use, now: float, *, is_item: bool = False) -> Excess | None:
        """Set aside what a request will take, or say which limit is in the way.

        An item of a batch is held to the day's budget alone: batches have no haste, and a line of their own.
        """
        excess = self._excess_of_day(now) if self.counts_days else None
        if excess is None and not is_item:
            excess = self._excess_of_minute(expected, now)
        if excess is not None:
            return excess
        self._ahead_tokens += expected.tokens
        self._ahead_cost += expected.cost
        if not is_item:
            self._in_flight += 1
            if self._requests is not None:
                self._requests.take(1, now)
            if self._tokens is not None:
                self._tokens.take(expected.tokens, now)
        return None

    def settle(self, expected: Use, used: Use, now: float, *, is_item: bool = False) -> None:
        """An admitted request has ended and took this."""
        self._ahead_tokens -= expected.tokens
        self._ahead_cost -= expected.cost
        if self.counts_days:
            self._turn(now)
            self.used = self.used.plus(used)
        if not is_item:
            self._in_flight -= 1
            if self._tokens is not None:
                self._tokens.take(used.tokens - expected.tokens, now)

    def notice(self, output_tokens: int) -> None:
        """Learn how long answers are."""
        self._output_tokens += _WEIGHT * (output_tokens - self._output_tokens)

    def requests(self, now: float) -> Standing | None:
        """How far the requests of a minute are used up; None without such a limit."""
        return self._requests.standing(now) if self._requests is not None else None

    def tokens(self, now: float) -> Standing | None:
        """How far the tokens of a minute are used up, or without such a limit those of the day."""
        if self._tokens is not None:
            return self._tokens.standing(now)
        limit = self._spec.tokens_per_day
        if not limit:
            return None
        self._turn(now)
        return Standing(limit, max(0, limit - self.used.tokens - self._ahead_tokens), _rest_of_day_s(now))

    def _turn(self, now: float) -> None:
        """Begin a new day where there is one."""
        day = day_of(now)
        if day != self.day:
            self.day, self.used = day, NOTHING

    def _excess_of_day(self, now: float) -> Excess | None:
        self._turn(now)
        spec, used = self._spec, self.used
        if 0 < spec.tokens_per_day <= used.tokens + self._ahead_tokens:
            return Excess(f"{spec.tokens_per_day} tokens a day", _rest_of_day_s(now), is_of_day=True)
        if 0 < spec.spend_per_day <= used.cost + self._ahead_cost:
            return Excess(f"{spec.spend_per_day} of money a day", _rest_of_day_s(now), is_of_day=True)
        return None

    def _excess_of_minute(self, expected: Use, now: float) -> Excess | None:
        spec = self._spec
        if 0 < spec.in_flight_max <= self._in_flight:
            return Excess(f"{spec.in_flight_max} requests at once", CROWDED_WAIT_S)
        requests_s = self._requests.wait_s(1, now) if self._requests is not None else 0.0
        tokens_s = self._tokens.wait_s(expected.tokens, now) if self._tokens is not None else 0.0
        if requests_s > tokens_s:
            return Excess(f"{spec.requests_per_minute} requests a minute", requests_s)
        return Excess(f"{spec.tokens_per_minute} tokens a minute", tokens_s) if tokens_s else None


def day_of(now: float) -> int:
    """Return the number of a day since 1970."""
    return floor(now / DAY_S)


def _rest_of_day_s(now: float) -> float:
    return (day_of(now) + 1) * DAY_S - now


def _bucket(size: int, before: Bucket | None, now: float) -> Bucket | None:
    """Return the bucket for a limit: the one from before, where there was one, with what was taken from it."""
    if not size or before is None:
        return Bucket(size, now) if size else None
    before.resize(size, now)
    return before
