"""A child process that serves one Python agent over OpenAI's HTTP API: `python -m toque.agents.host ORDER`.

Law: nothing heavy is imported before the parent knows that this process runs; the agent's code runs in here only.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from toque.agents.child import join_parent

MODULE = "toque.agents.host"


@dataclass(frozen=True, slots=True)
class HostOrder:
    """What to host: `package.module:Class`, the keyword arguments to make one, the model's name and slots.

    It travels in argv, so no secret is in it.
    """

    class_path: str
    options: Mapping[str, str | int | float | bool]
    model: str
    slots: int = 1

    def argv(self) -> tuple[str, ...]:
        """Return the command line. -P: a file called json.py in the working directory must not be imported here."""
        return (sys.executable, "-P", "-m", MODULE, json.dumps(asdict(self)))


def main() -> None:
    """Join the parent, and only then load what serves."""
    pipe, secret = join_parent()
    from toque.agents.host_server import run  # noqa: PLC0415 - heavy

    run(HostOrder(**json.loads(sys.argv[1])), secret, pipe)


if __name__ == "__main__":
    main()
