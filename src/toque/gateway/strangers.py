"""Strangers: addresses that send keys nobody has.

Law: constant memory, whatever comes. A known key is served from any address: nobody is locked out by what a neighbour
behind the same address tries, and keys of 256 bits are not guessed. Only the peer's own address counts; what a request says of
where it comes from (X-Forwarded-For) is never believed.
"""

import ipaddress
from collections import OrderedDict

from toque.model.errors import CallerError
from toque.model.service_spec import LimitSpec
from toque.wire.client import Headers

MINUTE_S = 60.0
IPV6_PREFIX_BITS = 64
"""What one subscriber has at least: counting single addresses of it would count nothing."""


class Strangers:
    """Unknown keys by address and minute; of too many addresses the one heard of longest ago is forgotten."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def judge(self, refusal: CallerError, headers: Headers, peer: str, limits: LimitSpec, now: float) -> CallerError:
        """Count a refused key; return the refusal, or 429 once the minute's allowance is spent."""
        if b"authorization" not in headers and b"x-api-key" not in headers:
            return refusal
        address = _network(peer)
        began, count = self._seen.pop(address, (now, 0))
        if now - began >= MINUTE_S:
            began, count = now, 0
        self._seen[address] = (began, count + 1)
        while len(self._seen) > limits.bad_key_addresses_max:
            self._seen.popitem(last=False)
        return refusal if count < limits.bad_keys_per_minute_max else _too_many(began + MINUTE_S - now)


def _network(peer: str) -> str:
    """The address as it counts: IPv4 whole, IPv6 by its network."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:  # a Unix socket, or nothing any more
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return peer
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), IPV6_PREFIX_BITS), strict=False))


def _too_many(wait_s: float) -> CallerError:
    return CallerError(
        "Too many unknown API keys came from this address. Wait for Retry-After, and check the key; a known one is served.",
        status=429,
        error_type="rate_limit_error",
        code="rate_limit_exceeded",
        retry_after_s=max(1.0, wait_s),
    )
