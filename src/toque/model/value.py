"""`@value`: a dataclass that is frozen for the type checker and cheap to make at run time.

Law: nobody assigns to a field of a value. mypy holds it (`frozen_default=True`); the interpreter does not check again,
because a runtime-frozen dataclass of five fields takes 0.64 us to make and this one 0.16 us (CPython 3.11), and the hot
path makes four of them a request.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True)
def value(cls: type[_T]) -> type[_T]:
    """Make `cls` a slotted dataclass that compares by value and is treated as immutable."""
    make: Callable[[type[_T]], type[_T]] = dataclass(slots=True)
    return make(cls)
