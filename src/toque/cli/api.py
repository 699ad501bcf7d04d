"""Where `chat` and `batch` ask: the API of the running service, with the caller's key if there is one.

Law: a key comes from a file or the environment, never from the command line.
"""

import argparse

from toque.cli.call import Service
from toque.cli.terminal import Terminal
from toque.model.agent_spec import Secret

API_URL = "http://127.0.0.1:8080"
KEY_VARIABLE = "TOQUE_KEY"


def add_api(parser: argparse.ArgumentParser) -> None:
    """Declare `--url` and `--key-file`."""
    parser.add_argument("--url", metavar="URL", default="", help=f"the API (default: $TOQUE_LISTEN, or {API_URL})")
    parser.add_argument(
        "--key-file", metavar="FILE", default="", help=f"file with your API key (default: ${KEY_VARIABLE} if set)"
    )


def api_service(args: argparse.Namespace, terminal: Terminal) -> Service:
    """Return the service to ask."""
    url = args.url or terminal.environment.get("TOQUE_LISTEN") or API_URL
    return Service(url, "Start one with `toque up`, or name it with --url URL.", _key(args.key_file, terminal))


def _key(path: str, terminal: Terminal) -> Secret | None:
    if not path and KEY_VARIABLE not in terminal.environment:
        return None
    from toque.config.secret import read_secret  # noqa: PLC0415  # only who has a key needs it

    return read_secret(f"file:{path}" if path else f"env:{KEY_VARIABLE}", terminal.environment)
