"""What a connection says to a client on its own, before or beside any handler.

Law: each says what was wrong and when to come again.
"""

from toque.model.errors import CallerError


def too_slow(part: str) -> CallerError:
    """Say that a head or body did not come in time."""
    return CallerError(f"The request {part} came too slowly.", status=408, code="request_timeout")


def too_many() -> CallerError:
    """Say that no more connections are taken."""
    return CallerError(
        "Too many connections are open. Try again after Retry-After, over fewer connections.",
        status=503,
        error_type="service_unavailable_error",
        code="server_is_overloaded",
        retry_after_s=1.0,
    )


def unwanted() -> CallerError:
    """Say why nobody reads the rest of a body."""
    return CallerError("The request was answered before its body came.")
