"""The limit of open files: raised to what is allowed, and a number even where there is none."""

import resource

import pytest

from toque.wire.descriptors import UNLIMITED, descriptor_limit, raise_descriptor_limit

INFINITE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "limit", "raised"),
    [
        (1024, 20_000, 1024, (20_000, 20_000)),
        (1024, INFINITE, 1024, (UNLIMITED, INFINITE)),
        (1024, 1 << 30, 1024, (UNLIMITED, 1 << 30)),
        (INFINITE, INFINITE, UNLIMITED, None),
        (4096, 4096, 4096, None),
    ],
)
def test_o12_the_limit_is_raised_to_what_is_allowed_within_reason(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, limit: int, raised: tuple[int, int] | None
) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: told.append(limits))
    assert descriptor_limit() == limit
    raise_descriptor_limit()
    assert told == ([raised] if raised else [])
