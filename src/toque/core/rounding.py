"""Whole replicas from fractional load, for every policy alike."""

from math import ceil

NOISE = 1e-9
"""Averages are sums of floats; without this a load of exactly two replicas could ask for three."""


def replicas_for(load: float, target: float) -> int:
    """Return how many replicas carry `load` at `target` each."""
    return ceil(load / target - NOISE)
