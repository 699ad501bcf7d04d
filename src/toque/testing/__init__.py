"""What a hostile world is made of, for tests of toque and of anything else that speaks OpenAI's API.

Law: everything listens on loopback, on a free port, and is gone when its `async with` block ends. Nothing in the product
imports this package.
"""

from toque.testing.answers import Answer, Ending, stream_of
from toque.testing.background import in_background
from toque.testing.engine import FakeEngine, Received
from toque.testing.faults import At, Corrupt, Cut, Faults, Kill, Seeded, Slow, Split, Stop
from toque.testing.proxy import FaultProxy

__all__ = [
    "Answer",
    "At",
    "Corrupt",
    "Cut",
    "Ending",
    "FakeEngine",
    "FaultProxy",
    "Faults",
    "Kill",
    "Received",
    "Seeded",
    "Slow",
    "Split",
    "Stop",
    "in_background",
    "stream_of",
]
