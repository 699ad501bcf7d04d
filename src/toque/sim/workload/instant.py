"""Instants as logs write them, ISO 8601 or a number of seconds, as float seconds.

Law: no clock and no calendar of the machine is asked; a text without an offset counts as UTC.
"""

import re
from math import isfinite

DAY_S = 86_400
NUMBER_MAX = 1e11
"""Seconds since 1970 stay below it until the year 5138; what is larger counts milliseconds or less."""

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d(?:\.\d{1,9})?))?\s*(Z|z|UTC|([+-])(\d\d):?(\d\d))?", re.ASCII
)


def read_instant(value: object) -> float:
    """Return float seconds of some epoch. Raises `ValueError` with a sentence for what is no instant."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            seconds = float(value)
        except ValueError:
            return _iso(str(value).strip())
        if not isfinite(seconds):
            raise ValueError("the time is not a finite number")
        if abs(seconds) > NUMBER_MAX:
            raise ValueError(f"the time {value} is no number of seconds; milliseconds must be divided by 1000")
        return seconds
    raise ValueError(f"{value!r} is no time")


def _iso(text: str) -> float:
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no time")
    year, month, day, hour, minute = (int(match[group]) for group in range(1, 6))
    second = float(match[6] or 0)
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        raise ValueError(f"{text[:40]!r} is no time of any day")
    offset = (60 * int(match[9]) + int(match[10])) * (-60 if match[8] == "-" else 60) if match[8] else 0
    return _days(year, month, day) * DAY_S + 3600 * hour + 60 * minute + second - offset


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the Gregorian calendar, years counted from March so that leap days come last."""
    year -= month <= 2
    since_march = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + since_march - 719_468
