"""One request of a workload, as a simulation needs it: when, how long, whose. Never what it says."""

from toque.model.ticket import PRIORITY, ServiceClass
from toque.model.value import value


@value
class Arrival:
    """`at` is seconds since the workload began; lengths are in tokens; an empty `pool` is the fleet's first.

    `priority` is 0 to 7, lower is sooner; `share` is the weight of its tenant. `is_whole`: the answer is
    wanted in one piece, and no stream. `is_item`: it is one of a backlog behind the traffic (`backlog.py`).
    """

    at: float
    prompt_tokens: int = 0
    output_tokens: int = 1
    tenant: str = ""
    service_class: ServiceClass = ServiceClass.INTERACTIVE
    pool: str = ""
    priority: int = PRIORITY
    share: float = 1.0
    is_whole: bool = False
    is_item: bool = False
