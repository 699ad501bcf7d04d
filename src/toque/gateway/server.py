"""The gateway: what clients talk to, and how it stops without losing anybody.

Law: every answer carries an `x-request-id`. Every request that is not a probe has its line in the access log, once and
however it ends; what is counted are requests for inference and refusals.
"""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import replace

import msgspec

from toque.gateway.auth import Caller, KeyRing
from toque.gateway.batch_relay import BatchRelay
from toque.gateway.cold import ANNEX, HOT, PROBES, ColdRoutes, allowed_methods, route_label
from toque.gateway.door import Door, name_request
from toque.gateway.errand import Errand
from toque.gateway.inside import Inside
from toque.gateway.outlet import ClientOutlet, Outlet
from toque.gateway.relay import BATCH, Relay
from toque.gateway.repeats import IDEMPOTENCY_KEY, REPLAYED, KeepingOutlet, Promise, Repeats
from toque.gateway.strangers import Strangers
from toque.gateway.surroundings import FleetPort, Log, Surroundings
from toque.gateway.telling import TellingOutlet
from toque.gateway.upstreams import Upstreams
from toque.model.errors import CallerError, LimitedError, RefusedError, ToqueError
from toque.model.messages import EnterStage
from toque.model.overload import Stage
from toque.model.service_spec import LimitSpec
from toque.model.ticket import RefusalReason
from toque.ports import Dialect
from toque.records.metrics import Metrics
from toque.records.recent import RecentTickets
from toque.records.served import Served
from toque.wire.asgi import AsgiHandler
from toque.wire.errors import encode_error
from toque.wire.incoming import Exchange, Incoming
from toque.wire.request import Request
from toque.wire.server import SWEEP_S, Server, serve

_encode_json = msgspec.json.Encoder().encode


class Gateway:
    """Made with everything it uses; `open` listens, `drain` stops gently, `close` at once."""

    def __init__(
        self,
        fleet: FleetPort,
        dialects: Mapping[str, Dialect],
        keys: KeyRing,
        limits: LimitSpec,
        *,
        metrics: Metrics,
        access: Log | None = None,
    ) -> None:
        self.recent = RecentTickets()
        self._fleet = fleet
        self._door = Door(keys, dialects, limits.request_s)
        self._around = Surroundings(fleet, Upstreams(fleet, limits), limits, metrics, access, self.recent)
        self.inside = Inside(lambda: (self._door, self._around))
        self._annex: AsgiHandler | None = None
        self._server: Server | None = None
        self._strangers = Strangers()
        self._repeats = Repeats()
        self._closing = asyncio.Event()
        self._is_draining = False
        self._cold = ColdRoutes(fleet.view, self._identify, lambda: self._is_draining)

    # ---- its life

    async def open(self, address: tuple[str, int] | socket.socket, *, sweep_s: float = SWEEP_S) -> None:
        """Listen. Raises `OSError` when the address cannot be had."""
        limits = self._around.limits
        self._server = await serve(address, self.handle, limits, encode_refusal=self._refuse_unread, sweep_s=sweep_s)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._opened().port

    @property
    def is_draining(self) -> bool:
        """Whether it takes no new requests, because it is to end."""
        return self._is_draining

    def attach(self, annex: AsgiHandler, streamed: Mapping[bytes, int]) -> None:
        """Let an application answer the paths of `ANNEX`; it finds the `tenant` in its request's state.

        `streamed`: paths whose bodies it reads while they come, and how many bytes these may have.
        """
        self._annex = annex
        self._opened().streamed = streamed

    def reload(self, dialects: Mapping[str, Dialect], keys: KeyRing, limits: LimitSpec) -> None:
        """Go by other settings from the next request on; what is being answered, and open connections, keep theirs."""
        self._door = Door(keys, dialects, limits.request_s)
        self._around = replace(self._around, limits=limits)
        self._around.upstreams.limits = self._opened().limits = limits

    def take_stage(self, told: EnterStage) -> None:
        """Do only what a stage of overload allows; which requests are refused is the core's to say."""
        server = self._opened()
        server.keeps_alive = told.keeps_alive and not self._is_draining
        if not server.keeps_alive:
            server.close_idle()
        if told.stage >= Stage.STOP_ACCEPTING:
            server.pause_accepting()
        else:
            server.resume_accepting()

    async def drain(self, lame_duck_s: float, grace_s: float) -> None:
        """Stop without losing anybody.

        At once `/readyz` says so and new requests are refused, still by us, for `lame_duck_s`; then nothing listens any
        more, and what is under way may take `grace_s`. `close` cuts the waiting short.
        """
        self._is_draining = True
        server = self._opened()
        server.announce_drain()
        try:
            async with asyncio.timeout(lame_duck_s):
                await self._closing.wait()
        except TimeoutError:
            await server.drain(grace_s)
        await self.close()

    async def close(self) -> None:
        """Stop at once; whoever is being answered is cut off."""
        self._closing.set()
        if self._server is not None:
            await self._server.close()
        await self._around.upstreams.close()

    def _opened(self) -> Server:
        assert self._server is not None, "open() comes first"
        return self._server

    # ---- requests

    def handle(self, request: Request, connection: Incoming) -> Exchange | None:
        """Answer one request: the handler of its server."""
        head = request.head
        path = HOT.get(head.target)
        request_id = name_request(head.headers)
        if path is None and self._annex is not None and head.target.startswith(ANNEX):
            return self._visit(self._annex, request, connection, request_id)
        if path is None or head.method != b"POST" or self._is_draining:
            self._answer(request, connection, request_id)
            return None
        try:
            errand = self._door.admit(request, path, request_id, self._fleet.now())
            if IDEMPOTENCY_KEY in head.headers:
                return self._answer_once(errand, request, connection)
        except ToqueError as error:
            self._refuse(error, request, connection, request_id)
            return None
        return self._relay(errand, ClientOutlet(connection, request_id, is_chunked=not head.is_http_1_0))

    def _answer_once(self, errand: Errand, request: Request, connection: Incoming) -> Exchange | None:
        """Answer as the same request was answered before, or keep what is answered now. Raises `CallerError`."""
        head = request.head
        try:
            known = self._repeats.admit(head.headers[IDEMPOTENCY_KEY], errand, request.body, self._around.limits)
        except CallerError:
            errand.withdraw()
            raise
        if isinstance(known, Promise):
            is_chunked = not head.is_http_1_0
            return self._relay(errand, KeepingOutlet(connection, errand.request_id, known, is_chunked=is_chunked))
        errand.withdraw()
        ClientOutlet(connection, errand.request_id, is_chunked=False).answer(known.content_type, REPLAYED, known.body)
        request_id, route = errand.request_id.decode("ascii"), "/v1" + errand.path
        self._around.record(Served(request_id, route, 200, "replayed", tenant=errand.tenant, model=errand.ask.model))
        return None

    def _relay(self, errand: Errand, outlet: Outlet) -> Relay:
        """Hand an errand to the fleet."""
        relay_of = BatchRelay if errand.rank.service_class is BATCH else Relay
        relay = relay_of(self._around, errand, TellingOutlet(outlet, errand) if errand.tells_more else outlet)
        relay.start()
        return relay

    def _identify(self, request: Request) -> Caller:
        """Ask the door that is there now: a reload puts up another."""
        return self._door.identify(request)

    def _visit(self, annex: AsgiHandler, request: Request, connection: Incoming, request_id: bytes) -> Exchange | None:
        """Hand a request over, once its key is known."""
        try:
            caller = self._identify(request)
            if self._is_draining:
                raise RefusedError(RefusalReason.DRAINING, 1.0)
        except ToqueError as error:
            self._refuse(error, request, connection, request_id)
            return None
        name = request_id.decode("ascii")

        def ended(status: int) -> None:
            self._around.record(Served(name, route_label(request.head.path), status, "ok", tenant=caller.tenant))

        return annex(
            request, connection, {"tenant": caller.tenant}, fields=[(b"x-request-id", request_id)], ended=ended
        )

    def _answer(self, request: Request, connection: Incoming, request_id: bytes) -> None:
        """Answer a cold route, or say why not."""
        try:
            body = _encode_json(self._cold.read(request))
        except ToqueError as error:
            self._refuse(error, request, connection, request_id)
            return
        connection.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: %b\r\n%bcontent-length: %d\r\n\r\n%b"
            % (
                request_id,
                b"connection: close\r\n" if connection.is_last else b"",
                len(body),
                b"" if request.head.method == b"HEAD" else body,
            )
        )
        connection.finish()
        if request.head.path not in PROBES and self._around.access is not None:
            self._around.access.write(Served(request_id.decode("ascii"), route_label(request.head.path), 200, "ok"))

    def _refuse(self, error: ToqueError, request: Request, connection: Incoming, request_id: bytes) -> None:
        path = request.head.path
        if isinstance(error, CallerError) and error.status == 401:
            limits, now = self._around.limits, self._fleet.now()
            error = self._strangers.judge(error, request.head.headers, connection.peer, limits, now)
        allow = b"allow: %b\r\n" % allowed_methods(path).encode("ascii") if error.status == 405 else b""
        fields = error.fields if isinstance(error, LimitedError) else allow
        connection.write(encode_error(error, request_id, closes=connection.is_last, fields=fields))
        connection.finish()
        if path not in PROBES:
            self._around.record(_refused(error, request_id, path))

    def _refuse_unread(self, error: ToqueError) -> bytes:
        """Write the refusal of bytes that never became a request."""
        request_id = name_request({})
        self._around.record(_refused(error, request_id, b""))
        return encode_error(error, request_id, closes=True)


def _refused(error: ToqueError, request_id: bytes, path: bytes) -> Served:
    return Served(
        request_id=request_id.decode("ascii"),
        route=route_label(path),
        status=error.status,
        outcome=error.code,
        tenant=error.tenant,
        model=error.model,
        service_class=error.service_class,
    )
