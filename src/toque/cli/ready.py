"""`toque ready`: wait until a service says that it takes requests; for scripts, and for containers that have no other way to ask.

Law: it needs an address and no key, and says the last reason when its time is over.
"""

import argparse
import http.client
import threading
import time
from contextlib import closing
from urllib.parse import urlsplit

from toque.cli.api import API_URL
from toque.cli.exits import Exit
from toque.cli.terminal import Terminal
from toque.model.errors import ConfigError

PATH = "/readyz"
ASK_S_MAX = 5.0
PAUSE_S = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "url", metavar="URL", nargs="?", default="", help=f"the service (default: $TOQUE_LISTEN, or {API_URL})"
    )
    parser.add_argument(
        "--within", metavar="SECONDS", type=float, default=0.0, help="go on asking for so long (default: ask once)"
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Ask, until it is ready or the time is over."""
    url = args.url or terminal.environment.get("TOQUE_LISTEN") or API_URL
    address = urlsplit(url if "://" in url else f"http://{url}")
    if address.scheme not in {"http", "https"} or not address.netloc:
        raise ConfigError(f"{url!r} is no address of a service", fix="write http://127.0.0.1:8080")
    deadline = time.monotonic() + args.within  # noqa: TID251 - a command of a person's or a script's
    pause = threading.Event()
    while True:
        status, told = _ask(address.scheme, address.netloc)
        if status == http.HTTPStatus.OK:
            terminal.show("ready")
            return Exit.DONE
        if time.monotonic() >= deadline:  # noqa: TID251 - as above
            terminal.say(f"{url} is not ready: {told}")
            return Exit.FAILED if status else Exit.NOT_RUNNING
        pause.wait(PAUSE_S)


def _ask(scheme: str, netloc: str) -> tuple[int, str]:
    """Return the status, 0 where nothing answers, and what was told."""
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    try:
        with closing(kind(netloc, timeout=ASK_S_MAX)) as connection:
            connection.request("GET", PATH)
            status = connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        return 0, str(error) or type(error).__name__
    return status, f"it answers with status {status}"
