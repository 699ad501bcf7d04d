"""Contradictions in the isolation of models: what could never hold, on whatever machine.

Law: what depends on the machine is not judged here; `toque check` tries it there.
"""

from collections.abc import Iterator

from toque.config.contradiction import Contradiction
from toque.model.agent_spec import ModelSpec
from toque.model.isolation_spec import FREE, read_cores


def isolation_contradictions(model: ModelSpec) -> Iterator[Contradiction]:
    """Yield what is wrong with the isolation of one model."""
    here = ("models", model.pool.name, "isolation")
    if model.isolation != FREE and not model.pool.elastic:
        yield Contradiction(
            here,
            "Replicas behind a url are not ours to isolate.",
            "Leave isolation out; limit that service where it runs.",
        )
    if model.isolation.cores:
        try:
            read_cores(model.isolation.cores)
        except ValueError as error:
            yield Contradiction(
                (*here, "cores"),
                f"cores {model.isolation.cores!r} is no list of cores: {error}.",
                'Write "0-3" or "2,5-7".',
            )
