"""The cold routes: which models there are, and how the gateway fares. Small JSON answers out of the fleet's view.

Law: they only read. `/livez` and `/readyz` answer without a key; everything else, also what does not exist, asks for one
first. A route is an exact path: nothing is decoded, joined or guessed.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias
from urllib.parse import unquote

from toque import __version__
from toque.gateway.auth import EVERYBODY, Caller
from toque.gateway.openai import SHAPES, unknown_model
from toque.model.errors import CallerError, RefusedError
from toque.model.ticket import RefusalReason
from toque.model.view import LEAVING, FleetView, PoolView, ReplicaState
from toque.wire.request import Request

Json: TypeAlias = dict[str, object]

HOT = {b"/v1" + path.encode("ascii"): path for path in SHAPES}
"""Request path -> path end, of the inference routes."""
ANNEX = (b"/v1/files", b"/v1/batches")
"""Beginnings of the paths that an attached application answers."""
OPEN = frozenset({b"/livez", b"/readyz"})
"""What answers without a key."""
PROBES = OPEN | {b"/health", b"/startupz"}
"""What machines ask each second: not recorded."""
LOADING = frozenset({ReplicaState.STARTING, ReplicaState.LOADING, ReplicaState.WARMING})

_ANNEX_LABELS = {
    path: path.decode("ascii")
    for path in (*ANNEX, *(b"%b/{id}" % path for path in ANNEX), b"/v1/files/{id}/content", b"/v1/batches/{id}/cancel")
}
_READY = frozenset({ReplicaState.READY, ReplicaState.DOUBTED})
_MODEL = b"/v1/models/"
_READS = frozenset({b"GET", b"HEAD"})


class ColdRoutes:
    """Finds and reads a cold route."""

    def __init__(
        self, view: Callable[[], FleetView], identify: Callable[[Request], Caller], is_draining: Callable[[], bool]
    ) -> None:
        self._view = view
        self._identify = identify
        self._is_draining = is_draining
        self._readings: Mapping[bytes, Callable[[Caller], Json]] = {
            b"/livez": lambda _: {"status": "alive"},
            b"/readyz": self._check_ready,
            b"/health": self._check_ready,
            b"/startupz": lambda _: check_started(view()),
            b"/version": lambda _: {"version": __version__},
            b"/v1/models": lambda caller: list_models(view(), caller),
        }

    def read(self, request: Request) -> Json:
        """Answer a request that is not for inference, or cannot be. Raises `CallerError` or `RefusedError`.

        1. Without a key no word about what exists, but that we live. 2. Inference while the gateway drains. 3. A path
        that is not there. 4. A method that is not.
        """
        path = request.head.path
        caller = EVERYBODY if path in OPEN else self._identify(request)  # 1
        if path in HOT and request.head.method == b"POST":  # 2
            raise RefusedError(RefusalReason.DRAINING, 1.0)
        is_model = path.startswith(_MODEL) and len(path) > len(_MODEL)
        if path not in HOT and path not in self._readings and not is_model:  # 3
            raise CallerError("There is nothing at this path.", status=404, code="not_found")
        if request.head.method not in _READS or path in HOT:  # 4
            message = f"This path answers {allowed_methods(path)} only."
            raise CallerError(message, status=405, code="method_not_allowed")
        if is_model:
            return show_model(self._view(), caller, unquote(path[len(_MODEL) :].decode("latin-1")))
        return self._readings[path](caller)

    def _check_ready(self, _caller: Caller) -> Json:
        if self._is_draining():
            raise RefusedError(RefusalReason.DRAINING, 1.0)
        return {"status": "ready"}


def allowed_methods(path: bytes) -> str:
    """What the Allow field says of a path that exists."""
    return "POST" if path in HOT else "GET, HEAD"


def route_label(path: bytes) -> str:
    """The route as records name it: one of a fixed set, whatever was asked for."""
    if path in HOT or path == b"/v1/models":
        return path.decode("ascii")
    if path.startswith(ANNEX):
        return _ANNEX_LABELS.get(_with_hole(path), "_other")
    return "/v1/models/{id}" if path.startswith(_MODEL) else "_other"


def _with_hole(path: bytes) -> bytes:
    """Put `{id}` where a path has the name of a file or batch."""
    start, _, rest = path[len(b"/v1/") :].partition(b"/")
    _, slash, act = rest.partition(b"/")
    return b"/v1/%b/{id}%b%b" % (start, slash, act) if rest else b"/v1/" + start


def list_models(view: FleetView, caller: Caller) -> Json:
    """GET /v1/models: those the key may use."""
    return {"object": "list", "data": [_model(view, pool) for pool in _visible(view, caller)]}


def show_model(view: FleetView, caller: Caller, name: str) -> Json:
    """GET /v1/models/NAME. Raises `CallerError` (404), also for one that the key may not use."""
    for pool in _visible(view, caller):
        if pool.name == name:
            return _model(view, pool)
    raise unknown_model()


def _visible(view: FleetView, caller: Caller) -> Iterable[PoolView]:
    return (pool for pool in view.pools if caller.may_use(pool.name) and pool.condition != LEAVING)


def _model(view: FleetView, pool: PoolView) -> Json:
    """One model as the API has it, and under `x_toque` what a client may want to know before it asks."""
    return {
        "id": pool.name,
        "object": "model",
        "created": 0,
        "owned_by": "toque",
        "x_toque": {
            "state": _state(pool),
            "condition": pool.condition,
            "replicas_ready": _count(pool, _READY),
            "replicas_loading": _count(pool, LOADING),
            "slots": pool.slots,
            "in_flight": pool.in_flight,
            "waiting": pool.waiting_interactive + pool.waiting_batch,
            "cold_start_s": round(pool.cold_start.total_s, 3),
        },
    }


def _state(pool: PoolView) -> str:
    """`ready`, `loading` or `cold`."""
    if _count(pool, _READY):
        return "ready"
    return "loading" if _count(pool, LOADING) else "cold"


def _count(pool: PoolView, states: frozenset[ReplicaState]) -> int:
    return sum(replica.state in states for replica in pool.replicas)


def check_started(view: FleetView) -> Json:
    """GET /startupz: 200 once every pool that is to be warm has a replica that answers. Raises `RefusedError`."""
    if any(pool.minimum_warm and pool.condition != LEAVING and _state(pool) != "ready" for pool in view.pools):
        raise RefusedError(RefusalReason.MODEL_LOADING, 1.0)
    return {"status": "started"}
