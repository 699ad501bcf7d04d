"""Joining: a gateway's way to whoever leads.

Law: it tries all addresses of all controllers, again and again, and serves on meanwhile. Words are taken in their order; models
first, so that nobody is offered a replica of a model that is not known.
"""

import asyncio
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence

import msgspec

from toque.alliance.channel import SILENCE_S, Channel, is_proof, prove
from toque.alliance.member import REPORT_S, Member
from toque.alliance.words import VERSION, Bye, Challenge, FromLeader, Hello, Models, Refusal, Welcome
from toque.model.agent_spec import ModelSpec, Secret

CONNECT_S = 2.0
"""To connect and to be answered, at each address."""
PAUSE_S_MIN, PAUSE_S_MAX = 0.2, 3.0
"""Between two rounds over all addresses; longer each time."""
NONCE_BYTES = 16
_decoder = msgspec.msgpack.Decoder(FromLeader)
Apply = Callable[[tuple[ModelSpec, ...]], Awaitable[None]]


class Joining:
    """`trouble` is why nobody is heard now, `controller` who is (empty: nobody)."""

    def __init__(self, addresses: Sequence[tuple[str, int]], token: Secret, name: str, incarnation: str) -> None:
        self._addresses = addresses
        self._token = token
        self.name = name
        self._incarnation = incarnation
        self._member: Member | None = None
        self._apply: Apply | None = None
        self._channel: Channel[FromLeader] | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.controller = ""
        self.trouble = "no controller was asked yet"

    # ---- its life ----------------------------------------------------------------------------------------------------

    async def find(self) -> tuple[ModelSpec, ...]:
        """Wait for whoever leads, and return the models there are: the first time, when nothing is held yet."""
        while True:
            channel = await self._connect()
            try:
                word = await channel.hear()
            except (OSError, TimeoutError) as error:
                self._lost(channel, str(error))
                continue
            if isinstance(word, Models):
                self._channel = channel
                return word.models
            self._lost(channel, "it did not tell its models")

    def open(self, member: Member, apply: Apply) -> None:
        """Go on with whoever was found: `member` hears of replicas, `apply` of other models."""
        self._member, self._apply = member, apply
        self._task = asyncio.create_task(self._run())

    def stir(self) -> None:
        """There is something that somebody waits for: report as soon as may be."""
        if self._timer is None and self._member is not None:
            self._timer = self._loop.call_later(max(0.0, self._member.due_at() - self._loop.time()), self._report)

    async def close(self) -> None:
        """Say good-bye: nothing is served here any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._channel is not None:
            self._channel.say(Bye())
            await self._channel.flush()
            self._channel.close()

    # ---- connected ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            channel = self._channel or await self._connect()
            self._channel = channel
            reporting = asyncio.create_task(self._report_regularly(channel))
            try:
                async for word in channel.words():
                    await self._hear(word)
            except (OSError, TimeoutError) as error:
                self._lost(channel, str(error) or f"nothing was heard for {SILENCE_S:g} s")
            finally:
                reporting.cancel()

    async def _hear(self, word: FromLeader) -> None:
        assert self._member is not None
        assert self._apply is not None
        if isinstance(word, Models):
            await self._apply(word.models)
        else:
            self._member.hear(word)

    def _report(self) -> None:
        self._timer = None
        if self._channel is None or self._member is None:
            return
        word = self._member.report(self._loop.time())
        if word is not None:
            self._channel.say(word)

    async def _report_regularly(self, channel: Channel[FromLeader]) -> None:
        while True:
            await _pause(REPORT_S)
            if self._member is not None and self._loop.time() >= self._member.due_at():
                self._report()
            channel.beat()

    def _lost(self, channel: Channel[FromLeader], reason: str) -> None:
        channel.close()
        self._channel = None
        self.controller, self.trouble = "", reason

    # ---- connecting --------------------------------------------------------------------------------------------------

    async def _connect(self) -> Channel[FromLeader]:
        """Try everybody until somebody who leads has answered."""
        pause_s = PAUSE_S_MIN
        while True:
            for host, port in self._addresses:
                for address in await self._resolve(host, port):
                    channel = await self._try(address)
                    if channel is not None:
                        return channel
            await _pause(pause_s * (0.5 + secrets.randbelow(1000) / 1000))
            pause_s = min(PAUSE_S_MAX, 2 * pause_s)

    async def _resolve(self, host: str, port: int) -> Iterator[tuple[str, int]]:
        try:
            found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            self.trouble = f"{host}: {error}"
            return iter(())
        return iter(dict.fromkeys((str(address[0]), int(address[1])) for *_, address in found))

    async def _try(self, address: tuple[str, int]) -> Channel[FromLeader] | None:
        channel = None
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_connection(*address)
                channel = Channel(reader, writer, _decoder)
                self.controller = await self._introduce(channel)
        except (OSError, TimeoutError) as error:
            self.trouble = f"{address[0]}:{address[1]}: {str(error) or 'no answer'}"
            if channel is not None:
                channel.close()
            return None
        self.trouble = ""
        return channel

    async def _introduce(self, channel: Channel[FromLeader]) -> str:
        """Prove who we are and have the other side do so; returns its name. Raises `OSError` for one that is not ours."""
        challenge = await channel.hear()
        if not isinstance(challenge, Challenge):
            raise ConnectionError("it is no controller")
        nonce, token = secrets.token_hex(NONCE_BYTES), self._token.reveal()
        proof = prove(token, "gateway", challenge.nonce, nonce, self.name, self._incarnation)
        hello = Hello(VERSION, self.name, self._incarnation)
        if self._member is not None:
            hello = self._member.hello(self.name, self._incarnation)
        channel.say(msgspec.structs.replace(hello, nonce=nonce, proof=proof))
        answer = await channel.hear()
        if isinstance(answer, Refusal):
            raise ConnectionError(answer.reason)
        if not isinstance(answer, Welcome) or not is_proof(
            answer.proof, prove(token, "controller", nonce, challenge.nonce)
        ):
            raise ConnectionError("it does not know the token")
        return answer.controller


async def _pause(seconds: float) -> None:
    never = asyncio.Event()
    try:
        async with asyncio.timeout(seconds):
            await never.wait()
    except TimeoutError:
        return
