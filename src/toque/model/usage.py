"""What tenants use: the limits of a key, and an amount of use.

Law: a limit of 0 is no limit, and costs nothing.
"""

from dataclasses import dataclass

from toque.model.setting import Setting, setting


@dataclass(frozen=True, slots=True)
class KeyLimitSpec:
    """What one key may use. 0 everywhere: as much as there is."""

    requests_per_minute: int = setting(
        0, Setting("Requests a minute, which may also come all at once (0: no limit).", minimum=0)
    )
    tokens_per_minute: int = setting(
        0,
        Setting(
            "Tokens a minute, of prompts and answers (0: no limit). A request is admitted by what it is expected to take, "
            "its `max_tokens` included, and counted by what it took.",
            minimum=0,
        ),
    )
    in_flight_max: int = setting(
        0, Setting("Requests under way at once, those that wait included (0: no limit).", minimum=0)
    )
    tokens_per_day: int = setting(
        0, Setting("Tokens a day, from midnight to midnight UTC, batches included (0: no limit).", minimum=0)
    )
    spend_per_day: float = setting(
        0.0, Setting("What a day's tokens may cost, by the prices of the models (0: no limit).", minimum=0)
    )

    @property
    def counts_days(self) -> bool:
        """Whether there is a budget for the day."""
        return self.tokens_per_day > 0 or self.spend_per_day > 0

    @property
    def is_limited(self) -> bool:
        """Whether there is anything to hold a request to."""
        return self.counts_days or max(self.requests_per_minute, self.tokens_per_minute, self.in_flight_max) > 0


@dataclass(frozen=True, slots=True)
class Use:
    """Tokens, and what they cost in the unit of the prices."""

    tokens: int = 0
    cost: float = 0.0

    def plus(self, other: "Use") -> "Use":
        """Return both together."""
        return Use(self.tokens + other.tokens, self.cost + other.cost)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a limit is used up: what is left now, and in how many seconds it is whole again."""

    limit: int
    remaining: int
    reset_s: float
