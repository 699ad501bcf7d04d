"""Endpoint: where one replica is reached.

Law: only a driver makes endpoints; nothing in a request ever chooses one.
"""

from dataclasses import dataclass

from toque.model.agent_spec import Secret


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Host, port and the path before `/chat/completions` (such as `/v1`).

    `key` goes into the Authorization header: a hosted API's key, or the per-child secret of a replica of ours.
    """

    host: str
    port: int
    path_prefix: str = "/v1"
    secure: bool = False
    key: Secret | None = None
