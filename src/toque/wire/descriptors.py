"""How many descriptors this process may have open.

Law: no limit counts as a large one, so that shares of it mean something.
"""

import resource

UNLIMITED = 1 << 20
"""What Linux allows a process by itself; some containers say a thousand times more, which tables would be sized for."""


def descriptor_limit() -> int:
    """Return the limit in force."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _bounded(limit)


def raise_descriptor_limit() -> None:
    """Let this process open as many as it may: a connection is one, and the usual limit of 1,024 is a shell's."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _bounded(most)
    if _bounded(limit) < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _bounded(limit: int) -> int:
    return UNLIMITED if limit == resource.RLIM_INFINITY else min(limit, UNLIMITED)
