"""Spread without chance: the core rolls no dice, so what should differ from request to request comes from its number.

Law: the same number has the same share, always; neighbours' shares lie far apart.
"""

_STEPS = 1 << 16
_KNUTH = 2654435761
"""Multiplicative hashing, The Art of Computer Programming 3, section 6.4: the golden ratio times 2^32, a prime."""


def share(number: int) -> float:
    """Return a number's own place in [0, 1)."""
    return (number * _KNUTH >> 8) % _STEPS / _STEPS
