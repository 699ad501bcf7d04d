"""Where `ps` and `why` ask: the admin listener of the running service.

Law: on this machine only; the listener itself refuses everybody else.
"""

import argparse
from collections.abc import Mapping

from toque.cli.call import Service
from toque.model.service_spec import ADMIN_MARK

ADMIN_URL = "http://127.0.0.1:8081"
_ADVICE = (
    "Start one with `toque up`, or name its admin listener (not the API) with --admin URL; `toque up` prints both."
)


def add_admin(parser: argparse.ArgumentParser) -> None:
    """Declare `--admin`."""
    parser.add_argument(
        "--admin", metavar="URL", default="", help=f"admin listener (default: $TOQUE_ADMIN_LISTEN, or {ADMIN_URL})"
    )


def admin_service(named: str, environment: Mapping[str, str]) -> Service:
    """Return the service to ask."""
    return Service(named or environment.get("TOQUE_ADMIN_LISTEN") or ADMIN_URL, _ADVICE, mark=ADMIN_MARK)
