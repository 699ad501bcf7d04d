"""Addresses to listen on: `host:port`, `[::1]:port`.

Law: only a literal loopback address, or `localhost`, counts as loopback; no name is looked up.
"""

import ipaddress
import re
from urllib.parse import urlsplit

_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9.-]+)):(?P<port>[0-9]{1,5})")


def split_address(text: str) -> tuple[str, int]:
    """Return host and port; port 0 asks for a free one. Raises `ValueError` when it is no address."""
    match = _ADDRESS.fullmatch(text)
    if not match or int(match["port"]) > 65535:
        raise ValueError(f"{text!r} is not host:port")
    if match["v6"]:
        ipaddress.IPv6Address(match["v6"])
    return match["v6"] or match["host"], int(match["port"])


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_elsewhere(url: str) -> bool:
    """Say whether what is sent to a URL leaves this machine, or may; an address of ours that is not loopback counts so."""
    try:
        return not is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return True
