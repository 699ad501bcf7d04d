"""Settings of trust: when a replica is left alone for its failures or its slowness, and when a second one is asked."""

from dataclasses import dataclass

from toque.model.setting import Setting, setting


@dataclass(frozen=True, slots=True)
class HedgeSpec:
    """When a short request that takes long is sent to a second replica as well; the first answer counts."""

    enabled: bool = setting(
        False,  # noqa: FBT003
        Setting("Off: the tail gets shorter for work done twice, which is for the owner of the replicas to say."),
    )
    after_s: float = setting(
        0.0,
        Setting(
            "An answer that takes longer than this is asked for a second time (0: longer than 95 % of the last hundred).",
            "s",
            minimum=0,
        ),
    )
    output_tokens_max: int = setting(
        256,
        Setting(
            "Only for answers that are wanted whole and may have at most so many tokens: long ones cost too much twice.",
            "tokens",
            minimum=1,
        ),
    )


@dataclass(frozen=True, slots=True)
class BreakerSpec:
    """When a replica that fails is left alone, and for how long."""

    failures_in_a_row: int = setting(
        5,
        Setting(
            "So many failures in a row open it, if failure_ratio of what was sent failed: fewer are bad luck, more are bad service.",
            minimum=1,
        ),
    )
    failure_ratio: float = setting(
        0.5,
        Setting(
            "So large a share of failures within window_s opens it too. A request under way that was sent no later than one "
            "that failed counts as none: quick failures would outrun slow answers.",
            minimum=0.01,
            maximum=1,
        ),
    )
    answers_min: int = setting(
        10, Setting("With fewer requests than this in window_s a share of them says nothing.", minimum=1)
    )
    window_s: float = setting(
        10.0, Setting("Over this time failures are counted; it begins with a failure.", "s", above=0)
    )
    open_s_min: float = setting(
        10.0, Setting("It stays open for so long, then one request is let through to try.", "s", above=0)
    )
    open_s_max: float = setting(
        300.0,
        Setting(
            "Opened again soon, it stays open twice as long, up to this: callers should see a recovery by then.",
            "s",
            above=0,
        ),
    )
    pause_s_max: float = setting(
        60.0,
        Setting("A replica that asks to be left alone (429 or 503 with Retry-After) is, up to this.", "s", above=0),
    )


@dataclass(frozen=True, slots=True)
class EjectionSpec:
    """When a replica that is slower than its peers is left alone. For how long, `breaker` says."""

    slow_factor: float = setting(
        3.0,
        Setting(
            "A replica this many times as slow as the median of its peers is ejected (0: none ever is).", minimum=0
        ),
    )
    answers_min: int = setting(
        5, Setting("Fewer answers of a replica within window_s say nothing of its speed.", minimum=1)
    )
    window_s: float = setting(60.0, Setting("Answers older than this count no more.", "s", above=0))
    interval_s: float = setting(
        5.0, Setting("Time between two comparisons while there are requests.", "s", minimum=0.1)
    )
    share_max: float = setting(
        0.34,
        Setting(
            "Share of ready replicas that may be left alone at once for being slow (one always may, the last never): "
            "where most are slow, it is the load.",
            minimum=0,
            maximum=1,
        ),
    )
