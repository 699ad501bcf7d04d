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
    gateways_max: int = setting(
        256,
        Setting("Gateways that a controller serves at once; each costs a connection and a report a second.", minimum=1),
    )
