"""What `toque check` finds in the settings and on the machine, without the app.

Law: each check looks and says; none changes anything or waits.
"""

import resource
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum

from toque.config.address import is_loopback, split_address
from toque.config.secret import read_secret
from toque.model.errors import ConfigError
from toque.model.service_spec import ServiceSpec
from toque.model.spec import PoolSpec

FILES_RESERVED = 256
"""Open files that are not client connections: listeners, pipes of replicas, calls to them, logs."""


class Verdict(StrEnum):
    """What a finding means for `toque up`: it works, it works but look at it, it would not work."""

    OK = "ok"
    NOTE = "note"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at, and what to do about it if anything."""

    verdict: Verdict
    subject: str
    text: str
    fix: str = ""


def from_error(subject: str, error: ConfigError) -> Finding:
    """Tell an error as a finding."""
    where = f"{error.where}: " if error.where else ""
    return Finding(Verdict.FAULT, subject, f"{where}{error.message}", error.fix)


def check_keys(spec: ServiceSpec, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Look whether the keys of hosted models are where the settings say, and whether clients need one."""
    for model in spec.models:
        if not model.agent.key:
            continue
        subject = f"key of {model.pool.name}"
        try:
            read_secret(model.agent.key, environment)
        except ConfigError as error:
            yield from_error(subject, error)
        else:
            yield Finding(Verdict.OK, subject, f"found at {model.agent.key}")
    if spec.keys:
        yield Finding(Verdict.OK, "API keys", f"{len(spec.keys)} may call this service")
    else:
        yield Finding(Verdict.NOTE, "API keys", "none: everybody on this machine may call this service")


def check_addresses(spec: ServiceSpec) -> Iterator[Finding]:
    """Look whether the addresses to listen on can be had."""
    listeners = {"listen": spec.listen, "admin_listen": spec.admin_listen, "metrics_listen": spec.metrics_listen}
    for name, text in listeners.items():
        if text == "off":
            continue
        host, port = split_address(text)
        try:
            _bind(host, port)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            fix = "stop what listens there, or choose another port (0: any free one)"
            yield Finding(Verdict.FAULT, name, f"{text} cannot be had: {reason}", fix)
        else:
            reach = "" if is_loopback(host) else ", reachable from other machines"
            yield Finding(Verdict.OK, name, f"{text} is free{reach}")


def check_fallbacks(spec: ServiceSpec) -> Iterator[Finding]:
    """Show who answers instead of whom, where that leads, and what it may cost."""
    pools = {model.pool.name: model.pool for model in spec.models}
    for pool in pools.values():
        if pool.fallback.to:
            chain = " -> ".join([pool.name, *(_told(pools[name], spec) for name in pool.fallback.to)])
            patience = (
                f"after {pool.fallback.patience_s:g} s of waiting" if pool.fallback.patience_s else "not for waiting"
            )
            yield Finding(Verdict.OK, f"fallback of {pool.name}", f"{chain}; on failure, when full, {patience}")


def _told(pool: PoolSpec, spec: ServiceSpec) -> str:
    """Name a fallback and what is special about it."""
    marks = []
    if pool.hosted:
        who = ", ".join(key.name for key in spec.keys if key.may_leave) if spec.keys else "everybody"
        marks.append(f"elsewhere, for {who}")
    if pool.price.input or pool.price.output:
        marks.append(f"{spec.spending.limit_per_hour:g} an hour at most")
    return f"{pool.name} ({'; '.join(marks)})" if marks else pool.name


def _bind(host: str, port: int) -> None:
    """Take an address for a moment. Raises OSError when it cannot be had."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with ExitStack() as stack:
        taken = stack.enter_context(socket.socket(family, kind, protocol))
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
        taken.listen(1)


def check_files(spec: ServiceSpec) -> Iterator[Finding]:
    """Look whether as many files may be open as there may be connections."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = spec.limits.connections_max + FILES_RESERVED
    if allowed == resource.RLIM_INFINITY or allowed >= wanted:
        yield Finding(Verdict.OK, "open files", f"{allowed} allowed, {wanted} needed at most")
    else:
        yield Finding(
            Verdict.NOTE,
            "open files",
            f"{allowed} allowed; limits.connections_max = {spec.limits.connections_max} needs {wanted}",
            f"ulimit -n {wanted}, or lower connections_max",
        )
