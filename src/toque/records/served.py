"""One request as it ended: what the access line says and the metrics count.

Law: nothing here was written by a client, but for a request id that passed its check; no text of a prompt or an answer.
"""

import msgspec


class Served(msgspec.Struct, gc=False, rename={"service_class": "class"}):
    """`outcome` is `ok`, `abandoned`, `replayed` (a kept answer) or the code of the error that was answered.

    `model` is empty when the request named none that exists; `ticket`, `replica` and `attempts` are 0 when it got none.
    After a fallback `model` is the one that answered, `asked` the one that was asked, `fallback` the cause.
    """

    request_id: str
    route: str
    status: int
    outcome: str
    tenant: str = ""
    model: str = ""
    service_class: str = ""
    ticket: int = 0
    replica: int = 0
    attempts: int = 0
    stream: bool = False
    queue_wait_ms: float = 0.0
    ttft_ms: float = 0.0
    duration_ms: float = 0.0
    prompt_tokens: int = 0
    output_tokens: int = 0
    asked: str = ""
    fallback: str = ""
