"""What several gateways and the controller that allots them slots need to find and to trust each other.

Law: nothing here changes what is decided. Without `controllers` a gateway has its own replicas, and all of this is idle.
"""

from dataclasses import dataclass

from toque.model.setting import Setting, setting


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """Several gateways over the same replicas, and the controller that shares the slots out."""

    controllers: tuple[str, ...] = setting(
        (),
        Setting(
            "host:port of the controllers of a gateway: all addresses of each name are tried until the leader answers. With "
            "any, models and replicas come from there and not from this file."
        ),
    )
    token: str = setting(
        "",
        Setting("What gateways and controller prove themselves by, as env:NAME or file:PATH. Never the token itself."),
    )
    name: str = setting(
        "",
        Setting("The name of this gateway, which no other has at the same time; empty: the machine's, or the Pod's."),
    )
    listen: str = setting("127.0.0.1:7070", Setting("Address and port at which a controller listens for gateways."))
    lends: bool = False
    """Whether this is a controller whose slots are lent to gateways."""
    gateways_max: int = setting(
        256,
        Setting("Gateways that a controller serves at once; each costs a connection and a report a second.", minimum=1),
    )
    lease_s: int = setting(
        10,
        Setting(
            "Another controller takes over when it has seen nothing of the leader for this long. With the time to notice, that is "
            "12 s after a leader was killed; shorter would take a slow API server for a dead leader.",
            "s",
            minimum=3,
        ),
    )
    renew_s_max: float = setting(
        7.0,
        Setting(
            "A leader that could not renew its Lease for this long decides nothing any more. The rest up to `lease_s` is for calls "
            "under way and clocks that differ.",
            "s",
            above=0,
        ),
    )
    renew_s: float = setting(
        2.0,
        Setting(
            "Between two renewals of the leader, and two looks of those that stand ready: each costs one call of the API server.",
            "s",
            above=0,
        ),
    )
