"""One request as it ended: what the access line says and the metrics count.

Law: nothing here was written by a client, but for a request id that passed its check; no text of a prompt or an answer.
"""


class Served:
    """`outcome` is `ok`, `abandoned`, `replayed` (a kept answer) or the code of the error that was answered.

    `model` is empty when the request named none that exists; `ticket`, `replica` and `attempts` are 0 when it got none. Times
    are whole microseconds: nobody wants to read smaller fractions. After a fallback `model` is the one that answered, `asked`
    the one that was asked, `fallback` the cause.
    """

    __slots__ = (
        "asked",
        "attempts",
        "duration_us",
        "fallback",
        "model",
        "outcome",
        "output_tokens",
        "prompt_tokens",
        "queue_wait_us",
        "replica",
        "request_id",
        "route",
        "service_class",
        "status",
        "stream",
        "tenant",
        "ticket",
        "ttft_us",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - there is one for each request, and it is one line
        self,
        request_id: str,
        route: str,
        status: int,
        outcome: str,
        tenant: str = "",
        model: str = "",
        service_class: str = "",
        ticket: int = 0,
        replica: int = 0,
        attempts: int = 0,
        stream: bool = False,  # noqa: FBT001, FBT002 - by position: there is one for each request
        queue_wait_us: int = 0,
        ttft_us: int = 0,
        duration_us: int = 0,
        prompt_tokens: int = 0,
        output_tokens: int = 0,
        asked: str = "",
        fallback: str = "",
    ) -> None:
        self.request_id = request_id
        self.route = route
        self.status = status
        self.outcome = outcome
        self.tenant = tenant
        self.model = model
        self.service_class = service_class
        self.ticket = ticket
        self.replica = replica
        self.attempts = attempts
        self.stream = stream
        self.queue_wait_us = queue_wait_us
        self.ttft_us = ttft_us
        self.duration_us = duration_us
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.asked = asked
        self.fallback = fallback
