"""One inference request from its ticket to its end: the hot path of the gateway.

Law: a relay ends exactly once, and posts exactly one end. It has no task, no future and no timer: the core, the replica,
the client and the server's sweep call it.
"""

from typing import Final

from toque.gateway.attempt import Attempt
from toque.gateway.attempts import new_attempt
from toque.gateway.errand import Errand
from toque.gateway.outlet import EVENT_STREAM, Outlet, Write
from toque.gateway.race import Race
from toque.gateway.surroundings import Surroundings
from toque.gateway.told import told_fields
from toque.gateway.upstreams import Upstream
from toque.gateway.verdict import Verdict, lost, no_first_token, no_next_token, too_late
from toque.model.errors import RefusedError, ToqueError, tell_fallback
from toque.model.messages import Abandoned, Event, Failed, Finished
from toque.model.ticket import FailureKind, FallbackCause, RefusalReason, ServiceClass
from toque.records.served import Served

HEARTBEAT_EACH_S = 10.0  # of a held stream: proxies on the way close what is silent for 30 s or more
BATCH: Final = ServiceClass.BATCH
_NAMES: Final = (ServiceClass.INTERACTIVE.value, BATCH.value)  # Python 3.11 takes 0.2 us to ask a member for its value
CLIENT_LEFT = 499  # nginx's word for it; only the records see it


class Relay:
    """Waits for a grant (the core's `Waiter`), tries replicas (`Customer` of an attempt), answers (an `Exchange`)."""

    __slots__ = (
        "_around",
        "_attempt",
        "_attempts",
        "_cold_start_s",
        "_errand",
        "_first_at",
        "_heartbeat_at",
        "_is_paused",
        "_last_error",
        "_left_with_id",
        "_moved_at",
        "_outlet",
        "_queue_wait_s",
        "_replica_id",
        "_sent_at",
        "_ticket_id",
        "pass_on",
    )

    def __init__(self, around: Surroundings, errand: Errand, outlet: Outlet) -> None:
        self._around = around
        self._errand = errand
        self._outlet = outlet
        self._ticket_id = around.fleet.next_ticket_id()
        self._attempt: Attempt | Race | None = None
        self._attempts = self._replica_id = 0
        self._left_with_id = 0  # of two replicas, the one that was left; 0: there was one
        self._queue_wait_s = self._cold_start_s = self._sent_at = 0.0
        self._moved_at = 0.0  # when something of the answer was last seen to come; before that as `_sent_at`
        self._first_at = 0.0  # when bytes of an answer first went to the client; 0: none did
        self._heartbeat_at = 0.0  # 0: it depends on the limits, and few wait that long
        self._is_paused = False
        self._last_error: ToqueError | None = None

    def start(self) -> None:
        """Hand in the ticket."""
        errand, ticket_id = self._errand, self._ticket_id
        self._around.recent.remember(errand.request_id, ticket_id)
        self._around.fleet.submit(errand.ticket(ticket_id), self)

    # ---- the core calls

    def granted(self, replica_id: int, cold_start_s: float) -> None:
        """A slot on this replica is ours: send it the request. After a failed attempt this is called again."""
        around, errand = self._around, self._errand
        now = around.fleet.now()
        if not self._attempts:
            self._queue_wait_s = now - errand.arrived_at
        self._attempts += 1
        self._replica_id = replica_id
        self._cold_start_s = cold_start_s
        self._sent_at = self._moved_at = now
        upstream = around.upstreams.to(replica_id)
        if upstream is None:
            self.failed(lost(FailureKind.NOT_SENT))
            return
        if errand.misfit is not None:
            around.fleet.post(Failed(self._ticket_id, FailureKind.DENIED))
        else:
            self._attempt = self._send(upstream, now)

    def seconded(self, replica_id: int) -> None:
        """The first replica is slow to answer: this one is asked too, and whoever answers first counts."""
        upstream = self._around.upstreams.to(replica_id)
        if upstream is None or not isinstance(self._attempt, Attempt):
            self.lost_one(replica_id, lost(FailureKind.NOT_SENT))
            return
        second = self._send(upstream, self._around.fleet.now())
        self._attempt = Race(self, self._attempt, self._replica_id, second, replica_id)

    def diverted(self, pool: str, cause: FallbackCause) -> None:
        """Another model is to answer. A held stream has its head already, so a comment tells."""
        self._errand.divert(pool, cause)
        self._last_error = self._last_error or self._errand.misfit
        if self._outlet.has_begun:
            self._outlet.write(b": fallback %b\n\n" % pool.encode("ascii"))

    def preempted(self) -> None:
        """Only batch is."""
        raise AssertionError("a slot is taken away from class batch alone")

    def refused(self, reason: RefusalReason, retry_after_s: float, fallback: str) -> None:
        """There is no slot, or no retry; what the last replica said is worth more than that it was the last."""
        error = self._errand.refusal(reason, retry_after_s)
        if reason is RefusalReason.UPSTREAM_LOST and self._last_error is not None:
            error = self._last_error
        error.message += tell_fallback(fallback)
        self._outlet.fail(error)
        self._record(self._around.fleet.now(), error.status, error.code)

    def _send(self, upstream: Upstream, now: float) -> Attempt:
        errand = self._errand
        attempt = new_attempt(self, errand.ask, errand.path, self._around.limits.stream_buffer_bytes)
        upstream.send(attempt, errand, now)
        return attempt

    # ---- the attempt calls, or the race of two

    def begin(self, content_type: bytes, length: int | None) -> Write | None:
        """The answer begins; a held stream has its head already."""
        self._first_at = self._around.fleet.now()
        outlet = self._outlet
        self.pass_on = outlet.write
        if not outlet.has_begun:
            outlet.begin(content_type, length, self._told_fields())
        return outlet.write_chunks

    def answered(self, prompt_tokens: int, output_tokens: int) -> None:
        """The answer is complete."""
        self._outlet.end()
        self._finished(self._around.fleet.now(), prompt_tokens, output_tokens)

    def answered_at_once(self, content_type: bytes, body: bytes, prompt_tokens: int, output_tokens: int) -> None:
        """The whole answer is here."""
        self._first_at = now = self._around.fleet.now()
        self._outlet.answer(content_type, self._told_fields(), body)
        self._finished(now, prompt_tokens, output_tokens)

    def failed(self, verdict: Verdict) -> None:
        """The attempt came to nothing.

        1. The replica did its part, and the client must change something. 2. Its time is up. 3. The client has half an
        answer: it is told. 4. The client has seen nothing: perhaps the core grants another replica.
        """
        self._attempt = None
        if verdict.kind is None:  # 1
            self._end_with(verdict.error, Finished(self._ticket_id, replica_id=self._left_with_id))
        elif self._around.fleet.now() >= self._errand.deadline:  # 2
            self._end_with(too_late(), Abandoned(self._ticket_id))
        elif self._first_at:  # 3
            self._end_with(verdict.error, Failed(self._ticket_id, verdict.kind, began=True))
        else:  # 4
            self._last_error = verdict.error
            self._around.fleet.post(Failed(self._ticket_id, verdict.kind, retry_after_s=verdict.error.retry_after_s))

    def left_with(self, attempt: Attempt, replica_id: int) -> None:
        """Of two replicas, one is left."""
        self._attempt = attempt
        self._replica_id = self._left_with_id = replica_id

    def lost_one(self, replica_id: int, verdict: Verdict) -> None:
        """Of two replicas, one failed, and the other goes on."""
        kind, wait_s = verdict.kind or FailureKind.ERROR, verdict.error.retry_after_s
        self._around.fleet.post(Failed(self._ticket_id, kind, retry_after_s=wait_s, replica_id=replica_id))

    # ---- the connection calls

    def client_left(self) -> None:
        """Nobody waits for the answer: stop the replica first of all. Whoever leaves after `[DONE]` has all of it."""
        had = self._attempt and self._attempt.said_all()
        self._drop_attempt()
        self._outlet.leave()
        if had:
            self._finished(self._around.fleet.now(), *had)
        else:
            self._around.fleet.post(Abandoned(self._ticket_id))
            self._record(self._around.fleet.now(), CLIENT_LEFT, "abandoned")

    def pause_writing(self) -> None:
        """The client reads slowly: let the replica wait."""
        self._is_paused = True
        if self._attempt is not None:
            self._attempt.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._is_paused = False
        if self._attempt is not None:
            self._attempt.resume()

    def cut_off(self) -> None:
        """The server ends."""
        self._drop_attempt()
        self._end_with(RefusedError(RefusalReason.DRAINING), Abandoned(self._ticket_id))

    def tick(self) -> None:
        """Half a second has passed. While the ticket waits for a slot, the core keeps its time."""
        now = self._around.fleet.now()
        if self._attempt is None:
            self._keep_company(now)
        elif now >= self._errand.deadline:
            self._drop_attempt()
            self._end_with(too_late(), Abandoned(self._ticket_id))
        else:
            self._watch(self._attempt, now)

    # ---- its own

    def _finished(self, now: float, prompt_tokens: int, output_tokens: int) -> None:
        self._attempt = None  # they hold each other: parted, both are freed without a collector
        ttft_s = self._first_at - self._sent_at
        self._around.fleet.post(Finished(self._ticket_id, ttft_s, prompt_tokens, output_tokens, self._left_with_id))
        self._record(now, 200, "ok", prompt_tokens, output_tokens)

    def _watch(self, attempt: Attempt | Race, now: float) -> None:
        """See whether the attempt moves.

        1. Something came, or it is us who do not read. 2. Silence in the middle. 3. Silence from the start: only where the
        replica streams is it known when the first token is due.
        """
        limits = self._around.limits
        silent_s = now - self._moved_at
        if attempt.moved or self._is_paused:  # 1
            attempt.moved = False
            self._moved_at = now
        elif self._first_at:  # 2
            if silent_s > limits.inter_token_s:
                self._give_up(no_next_token())
        elif self._errand.ask.streams or self._errand.ask.collects:  # 3
            if silent_s > limits.ttft_s:
                self._give_up(no_first_token())
            elif self._outlet.has_begun:
                self._keep_company(now)

    def _keep_company(self, now: float) -> None:
        """Send a held stream its head and then comment lines, so that nobody on the way takes it for dead."""
        due_at = self._heartbeat_at or self._errand.arrived_at + self._around.limits.heartbeat_s
        if self._errand.ask.streams and now >= due_at:
            self._heartbeat_at = now + HEARTBEAT_EACH_S
            if not self._outlet.has_begun:
                self._outlet.begin(EVENT_STREAM, None, b"")
            self._outlet.write(b": waiting\n\n")

    def _give_up(self, verdict: Verdict) -> None:
        self._drop_attempt()
        self.failed(verdict)

    def _drop_attempt(self) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.abort()

    def _end_with(self, error: ToqueError, event: Event) -> None:
        self._outlet.fail(error)
        self._around.fleet.post(event)
        self._record(self._around.fleet.now(), error.status, error.code)

    def _told_fields(self) -> bytes:
        errand = self._errand
        fallback, answer_s = errand.ask.model if errand.asked else "", self._first_at - errand.arrived_at
        return told_fields(self._replica_id, self._queue_wait_s, answer_s, self._cold_start_s, fallback)

    def _record(self, now: float, status: int, outcome: str, prompt_tokens: int = 0, output_tokens: int = 0) -> None:
        errand, around, first_at = self._errand, self._around, self._first_at
        ask, arrived_at = errand.ask, errand.arrived_at
        served = Served(
            errand.request_id.decode(),
            "/v1" + errand.path,
            status,
            outcome,
            errand.tenant,
            ask.model,
            _NAMES[errand.rank.service_class is BATCH],
            self._ticket_id,
            self._replica_id,
            self._attempts,
            ask.streams,
            int(self._queue_wait_s * 1e6 + 0.5),
            int((first_at - arrived_at) * 1e6 + 0.5) if first_at else 0,
            int((now - arrived_at) * 1e6 + 0.5),
            prompt_tokens,
            output_tokens,
            errand.asked,
            errand.cause,
        )
        around.record(served)
        if errand.reservation is not None:
            errand.reservation.settle(served)
