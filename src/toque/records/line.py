"""What an access line says, and in which order.

Law: a shape and nothing else; `records/served.py` says what may stand in it.
"""

import msgspec


class Line(msgspec.Struct, gc=False, rename={"service_class": "class"}):
    """One request that has ended."""

    request_id: str
    route: str
    status: int
    outcome: str
    tenant: str
    model: str
    service_class: str
    ticket: int
    replica: int
    attempts: int
    stream: bool
    queue_wait_ms: float
    ttft_ms: float
    duration_ms: float
    prompt_tokens: int
    output_tokens: int
    asked: str
    fallback: str


encode_line = msgspec.json.Encoder().encode
