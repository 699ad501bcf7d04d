"""Settings of fallbacks: which models answer instead, after how much patience, and what that may cost.

Law: prices and the limit have one unit, whichever the settings' author thinks in.
"""

from dataclasses import dataclass

from toque.model.setting import Setting, setting

MODELS_MAX = 8
"""Fallbacks of one model at most: each failure of a request may try them all."""


@dataclass(frozen=True, slots=True)
class FallbackSpec:
    """Which other models answer instead of this one, and when."""

    to: tuple[str, ...] = setting(
        (),
        Setting(
            "Models of these settings that answer instead, in this order, when this one fails, has no room or is too "
            "slow to begin. Their own fallbacks are not followed."
        ),
    )
    patience_s: float = setting(
        0.0,
        Setting(
            "An interactive request goes on to a fallback once it must wait longer than this for a slot, a cold start "
            "included (0: it waits as long as the line allows).",
            "s",
            minimum=0,
        ),
    )
    batch_patience_s: float = setting(
        0.0, Setting("The same for batch requests, which nobody watches: seldom worth anything.", "s", minimum=0)
    )


@dataclass(frozen=True, slots=True)
class CanarySpec:
    """A model that is tried with a share of this one's requests: a new image or new weights, under a name of its own."""

    model: str = setting(
        "",
        Setting(
            "Model of these settings that is tried (empty: none). It gets requests while one of its replicas is ready; what it "
            "fails before its first byte is answered here, so that nobody pays for the trial."
        ),
    )
    share: float = setting(
        0.1,
        Setting(
            "Share of this model's requests that try it: enough to see much, little enough to lose little.",
            minimum=0,
            maximum=1,
        ),
    )
    failures_max: int = setting(
        5,
        Setting(
            "So many failures at least before the trial ends by itself: one or two happen to everybody.", minimum=1
        ),
    )
    failures_ratio_max: float = setting(
        0.1,
        Setting(
            "Share of its requests that it may fail; with more the trial is over until these settings change.",
            minimum=0,
            maximum=1,
        ),
    )


@dataclass(frozen=True, slots=True)
class PriceSpec:
    """What a model's tokens cost, in the unit of `spending`."""

    input: float = setting(
        0.0, Setting("Price of a million prompt tokens (0: nothing, or nobody counts it).", minimum=0)
    )
    output: float = setting(0.0, Setting("Price of a million output tokens.", minimum=0))

    def cost(self, prompt_tokens: int, output_tokens: int) -> float:
        """What so many tokens cost."""
        return (self.input * prompt_tokens + self.output * output_tokens) / 1e6


@dataclass(frozen=True, slots=True)
class SpendingSpec:
    """What fallbacks may cost. Requests that name a paid model themselves are not counted."""

    limit_per_hour: float = setting(
        0.0,
        Setting(
            "Fallbacks to models with a price may cost this much in any hour, counted since the start, in the unit of "
            "the prices (0: nothing, for nobody shall be surprised by a bill).",
            minimum=0,
        ),
    )
