"""llama.cpp's own HTTP server without anything before it: an engine that people also expose as it is.

Started as a program it serves the embedded model: `python llama_cpp.py MODEL_FILE NAME PORT`.
"""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cases import MODEL
from contender import Contender
from install import NotHadError

from toque.agents import embedded

SLOTS = 4
CONTEXT_TOKENS = 8192


class LlamaCppServer(Contender):
    """Nothing stands behind it, so its own counters are looked at."""

    name = "llama.cpp"

    @property
    def metrics(self) -> str:
        """Its own page."""
        return f"http://127.0.0.1:{self.port}/metrics"

    def command(self, folder: Path, mock_ports: Sequence[int]) -> list[str]:
        """Serve the model that `toque up` fetched."""
        cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "toque" / "models"
        model = embedded.find(cache)
        if model is None:
            raise NotHadError("the embedded model is not here; `toque up` fetches it")
        return [sys.executable, str(Path(__file__)), str(model), MODEL, str(self.port)]

    def environment(self, mock_ports: Sequence[int]) -> Mapping[str, str]:
        """Where its imports are."""
        here = Path(__file__).parents[1]
        return {"PYTHONPATH": f"{here / 'gateway'}:{here.parent / 'src'}"}


def main() -> None:
    """Serve until SIGTERM."""
    import xllamacpp  # noqa: PLC0415 - only the server itself needs it

    made = xllamacpp.CommonParams()
    made.model.path = sys.argv[1]
    made.model_alias = {sys.argv[2]}
    made.hostnames = ["127.0.0.1"]
    made.port = int(sys.argv[3])
    made.n_parallel = SLOTS
    made.n_ctx = SLOTS * CONTEXT_TOKENS
    made.cache_ram_mib = 0  # its default would take 8 GiB
    made.endpoint_metrics = True
    server = xllamacpp.Server(made)
    print(server.listening_address)
    signal.sigwait({signal.SIGTERM})
    os._exit(0)  # with a server alive the interpreter's own shutdown hangs


if __name__ == "__main__":
    main()
