"""The child process of agent llama.cpp: llama.cpp's own HTTP server with one model.

Law: nothing heavy is imported before the parent knows that this process runs; and no setting is left to a default of the
engine that takes memory of the whole machine (8 GiB of prompt cache, the model's whole context).
"""

import json
import mmap
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toque.agents.child import StatusPipe, join_parent, listen_address
from toque.agents.confine import confine
from toque.model.agent_spec import Secret
from toque.model.load import Load
from toque.ports import CHILD_METRICS

if TYPE_CHECKING:
    import xllamacpp

MODULE = "toque.agents.llama_cpp_server"

_ERRORS_ONLY = 1
_MADV_POPULATE_READ = 22  # linux/mman.h, since Linux 5.14; not named by Python 3.11
_BLOCK_BYTES_MIN = 8 * 2**20
_BLOCKS_MAX = 100


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the engine is started with. It travels in argv, so no secret is in it; `context_tokens` is each slot's."""

    path: str
    alias: str
    slots: int
    context_tokens: int
    threads: int
    embeddings: bool = False

    def argv(self) -> tuple[str, ...]:
        """Return the command line. -P: a file called json.py in the working directory must not be imported."""
        return (sys.executable, "-P", "-m", MODULE, json.dumps(asdict(self)))


def main() -> None:
    """Load, warm up, tell the port, and serve until SIGTERM."""
    pipe, secret = join_parent()
    confine()
    settings = EngineSettings(**json.loads(sys.argv[1]))
    read_ahead(Path(settings.path), pipe.loading)
    # The engine holds the interpreter lock while it loads, so until then SIGTERM keeps its default action: end at once.
    server = _open_server(settings, secret, pipe)
    try:
        pipe.loaded()
        _warm_up(server, settings)
        _tell_load(server, settings)
        port = int(server.listening_address.rpartition(":")[2])
        _serve_until_terminated(lambda: pipe.ready(port))
        status = 0
    except Exception:
        traceback.print_exc()
        status = 1
    # Not sys.exit: with a server alive the interpreter's own shutdown hangs for ever (seen with xllamacpp 2026.10).
    os._exit(status)


def read_ahead(path: Path, tell: Callable[[float], None]) -> None:
    """Bring the file into the page cache block by block, telling the share that is there.

    The engine maps the file and tells no progress itself; with the pages there, its own loading is short. Costs 11 ms
    for 98 MB that were in the cache already. Where the kernel or the file does not allow it, nothing is told.
    """
    with suppress(OSError, ValueError), path.open("rb") as file:  # the engine says what is wrong with the file
        size = path.stat().st_size
        block = max(_BLOCK_BYTES_MIN, size // _BLOCKS_MAX // mmap.PAGESIZE * mmap.PAGESIZE)
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as pages:
            for start in range(0, size, block):
                pages.madvise(_MADV_POPULATE_READ, start, min(block, size - start))
                tell(min(1.0, (start + block) / size))


def _open_server(settings: EngineSettings, secret: Secret, pipe: StatusPipe) -> "xllamacpp.Server":
    """Load the model and listen. Ends the process (status 1), with the reason told, when that cannot be done."""
    import xllamacpp  # noqa: PLC0415 - heavy

    try:
        return xllamacpp.Server(_parameters(settings, secret))
    except RuntimeError:  # its own words are on stderr
        from toque.agents.gguf import fault_of  # noqa: PLC0415 - only needed here

        path = Path(settings.path)
        pipe.failed(f"{path}: {fault_of(path) or 'the engine cannot load this model (see its last lines)'}")
        sys.exit(1)


def _parameters(settings: EngineSettings, secret: Secret) -> "xllamacpp.CommonParams":
    import xllamacpp  # noqa: PLC0415 - heavy

    made = xllamacpp.CommonParams()
    made.model.path = settings.path
    made.model_alias = {settings.alias}
    host, made.port = listen_address()
    made.hostnames = [host]
    made.api_keys = [secret.reveal()]
    made.n_parallel = settings.slots
    made.n_ctx = settings.slots * settings.context_tokens
    made.cpuparams.n_threads = settings.threads
    made.cpuparams_batch.n_threads = settings.threads
    made.cache_ram_mib = 0  # its default would take 8 GiB
    made.fit_params = False  # else the context shrinks by itself when memory is short
    made.offline = True
    made.ui = False
    made.endpoint_metrics = True
    made.endpoint_slots = True
    made.verbosity = _ERRORS_ONLY
    made.warmup = False  # ours is a real token, and measured as a phase
    if settings.embeddings:
        made.embedding = True
        made.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        made.n_batch = made.n_ubatch = settings.context_tokens  # a mean needs its whole text in one batch
    return made


def _warm_up(server: "xllamacpp.Server", settings: EngineSettings) -> None:
    """One token, so that no client pays for first-time work."""
    if settings.embeddings:
        server.handle_embeddings({"input": "Hi"})
    else:
        server.handle_completions({"prompt": "Hi", "max_tokens": 1})


def _tell_load(server: "xllamacpp.Server", settings: EngineSettings) -> None:
    """Where whoever started this replica wants its load told, do so."""
    if CHILD_METRICS in os.environ:
        from toque.agents.load_page import open_load_page_beside  # noqa: PLC0415 - heavy, and seldom asked for

        open_load_page_beside(settings.alias, lambda: engine_load(server.handle_metrics(), settings.slots))


def engine_load(page: str, slots: int) -> Load:
    """Read the load off the engine's own metrics. It divides its cache among its slots beforehand, and queues without limit."""
    values = dict(line.split(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    running, queued = (int(values[f"llamacpp:requests_{what}"]) for what in ("processing", "deferred"))
    return Load(running, queued, slots)


def _serve_until_terminated(tell_ready: Callable[[], None]) -> None:
    """Return at SIGTERM. The engine serves by threads of its own."""
    ours, kernels = socket.socketpair()
    kernels.setblocking(False)  # noqa: FBT003
    signal.set_wakeup_fd(kernels.fileno())  # written in whichever thread the signal arrives: none is missed
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    tell_ready()
    ours.recv(1)


if __name__ == "__main__":
    main()
