"""Contradictions in what several gateways and their controller need of each other.

Law: as in `rules.py`: what is wrong, where, and what to write instead.
"""

import re
from collections.abc import Iterator

from toque.config.address import split_address
from toque.config.contradiction import Contradiction
from toque.config.secret import REFERENCE
from toque.model.cluster_spec import ClusterSpec

_NAME = re.compile(r"[A-Za-z0-9._-]{0,128}", re.ASCII)


def cluster_contradictions(cluster: ClusterSpec) -> Iterator[Contradiction]:
    """Yield what does not hold in `[cluster]`."""
    for name, addresses in (("controllers", cluster.controllers), ("listen", (cluster.listen,))):
        for address in addresses:
            if not _is_address(address):
                yield Contradiction(
                    ("cluster", name),
                    f"{address!r} is no address of a controller.",
                    "Write host:port, such as toque-controller:7070.",
                )
    if cluster.token and not REFERENCE.fullmatch(cluster.token):
        yield Contradiction(
            ("cluster", "token"),
            "cluster.token must say where the token is; a token itself does not belong in settings.",
            'Write token = "env:NAME" or token = "file:PATH".',
        )
    if cluster.controllers and not cluster.token:
        yield Contradiction(
            ("cluster", "controllers"),
            "A gateway proves itself to its controller by a token, and there is none.",
            'Write token = "env:TOQUE_CLUSTER_SECRET" or token = "file:PATH", with the same text as at the controller.',
        )
    if not _NAME.fullmatch(cluster.name):
        yield Contradiction(
            ("cluster", "name"),
            f"{cluster.name!r} is no name of a gateway.",
            "Use letters, digits, dots, - and _; at most 128.",
        )
    if not cluster.renew_s < cluster.renew_s_max < cluster.lease_s:
        yield Contradiction(
            ("cluster", "renew_s_max"),
            f"renew_s {cluster.renew_s:g}, renew_s_max {cluster.renew_s_max:g} and lease_s {cluster.lease_s} must grow in this order.",
            "Write 2, 7 and 10, or as much more of each as the API server needs.",
        )


def _is_address(text: str) -> bool:
    try:
        return split_address(text)[1] > 0 or text.endswith(":0")
    except ValueError:
        return False
