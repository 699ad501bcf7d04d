"""The errand: one inference request as the door lets it through.

Law: everything in it was checked; what it says to a replica is in that replica's dialect.
"""

from collections.abc import Callable
from dataclasses import replace

from toque.gateway.openai import Ask
from toque.model.errors import CallerError
from toque.model.ticket import FallbackCause, ServiceClass
from toque.model.value import value


@value
class Errand:
    """What the door found out: who asks for what, how it is called, and until when an answer is worth anything.

    `path` is the path end at the replica; `fields` are header fields for it, each with its CRLF. `fallbacks` are the models
    that may answer instead, and `ask_instead` says the request in the words of one of them; once one of them is to answer, `ask`
    is for that one, `asked` is the model that was asked, and `cause` says why it does not answer itself.
    """

    ask: Ask
    path: str
    fields: bytes
    request_id: bytes
    tenant: str
    service_class: ServiceClass
    arrived_at: float
    deadline: float
    fallbacks: tuple[str, ...] = ()
    ask_instead: Callable[[str], Ask] | None = None
    asked: str = ""
    cause: str = ""
    misfit: CallerError | None = None

    def divert(self, model: str, cause: FallbackCause) -> "Errand":
        """Return the errand as one for another model, in its words.

        Where that model takes less than the one that was asked (no addresses of pictures, say), `misfit` says what.
        """
        assert self.ask_instead is not None, "a ticket with fallbacks comes with the way to ask them"
        errand = replace(self, asked=self.asked or self.ask.model, cause=cause.value, misfit=None)
        try:
            return replace(errand, ask=self.ask_instead(model))
        except CallerError as error:
            return replace(errand, ask=replace(self.ask, model=model), misfit=error)
