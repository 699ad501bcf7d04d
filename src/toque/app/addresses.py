"""The addresses to listen on, taken before anything is started.

Law: a port that is taken is told before a model is fetched or a replica ordered. A bound address is silent: until somebody
listens there, the kernel refuses whoever calls.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from toque.config.address import split_address
from toque.model.errors import ConfigError
from toque.model.service_spec import ServiceSpec

OFF = "off"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Bound sockets: of the API, of admin, and of metrics alone, where the settings want these."""

    api: socket.socket
    admin: socket.socket | None
    metrics: socket.socket | None


@contextmanager
def take_addresses(spec: ServiceSpec) -> Iterator[Addresses]:
    """Bind what the settings name. Raises `ConfigError` for what cannot be had."""
    with take(spec.listen, "listen") as api, take_inner(spec) as (admin, metrics):
        yield Addresses(api, admin, metrics)


@contextmanager
def take_inner(spec: ServiceSpec) -> Iterator[tuple[socket.socket | None, socket.socket | None]]:
    """Bind those of admin and of metrics alone, where the settings want these. Raises `ConfigError` for what cannot be had."""
    with ExitStack() as stack:
        admin, metrics = (
            None if address == OFF else stack.enter_context(take(address, setting))
            for setting, address in (("admin_listen", spec.admin_listen), ("metrics_listen", spec.metrics_listen))
        )
        yield admin, metrics


def taken(address: str, setting: str, error: OSError) -> ConfigError:
    """Say which setting names an address that cannot be had, and why."""
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return ConfigError(
        f"cannot listen on {address}: {reason}",
        fix=f"set {setting} to another address, or end what uses this one",
    )


def take(address: str, setting: str) -> socket.socket:
    """Bind `host:port` (port 0: any free one); of a name with several addresses the first, IPv4 before IPv6.

    Raises `ConfigError`, which names the setting, when it cannot be had.
    """
    host, port = split_address(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, bindable = min(found, key=lambda one: one[0] != socket.AF_INET)
        return _bind(family, bindable)
    except OSError as error:
        raise taken(address, setting, error) from error


def _bind(family: int, address: tuple[str | int, ...] | tuple[int, bytes]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def url_of(address: str, port: int) -> str:
    """Return the URL of whoever listens at an address of the settings, on this port."""
    host, _ = split_address(address)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
