"""Moments and spans as people write them: `2027-01-31`, `2027-01-31T12:00:00Z`, `24h`.

Law: a moment without a zone is meant in UTC; inside, moments are float seconds since 1970.
"""

import re
from datetime import UTC, date, datetime, time

_SPAN = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def read_moment(amount: object) -> object:
    """Turn a date or a time into seconds since 1970; a number passes. Raises `ValueError` for a text that is neither."""
    if isinstance(amount, str):
        try:
            amount = datetime.fromisoformat(amount)
        except ValueError:
            raise ValueError('must be a date or a time, such as "2027-01-31" or "2027-01-31T12:00:00Z"') from None
    if isinstance(amount, date) and not isinstance(amount, datetime):
        amount = datetime.combine(amount, time())
    if isinstance(amount, datetime):
        return (amount if amount.tzinfo else amount.replace(tzinfo=UTC)).timestamp()
    return amount


def tell_moment(at: float) -> str:
    """Write seconds since 1970 as `2027-01-31T12:00:00Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_span(text: str) -> float:
    """Turn `90s`, `15m`, `24h` or `30d` into seconds. Raises `ValueError`."""
    found = _SPAN.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no span of time, such as 90s, 15m, 24h or 30d")
    return float(int(found[1]) * _UNITS_S[found[2]])
