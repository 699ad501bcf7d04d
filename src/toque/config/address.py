"""Addresses to listen on: `host:port`, `[::1]:port`.

Law: only a literal loopback address, or `localhost`, counts as loopback; no name is looked up.
"""

import ipaddress


def split_address(text: str) -> tuple[str, int]:
    """Return host and port; port 0 asks for a free one. Raises `ValueError` when it is no address."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise ValueError(f"{text!r} is not host:port")
    if ":" in host:
        ipaddress.IPv6Address(host)
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
