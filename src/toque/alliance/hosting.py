"""Hosting: the controller's door for gateways.

Law: only a gateway that proves to know the token is heard; what else comes is told no and cut off. As many are taken in as the
settings allow.
"""

import asyncio
import secrets
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import msgspec

from toque.alliance.census import Census
from toque.alliance.channel import BEAT_S, Channel, is_proof, prove
from toque.alliance.host import Host
from toque.alliance.words import VERSION, Challenge, FromGateway, Hello, Refusal
from toque.model.agent_spec import ModelSpec, Secret
from toque.model.ticket import RefusalReason

HELLO_S = 5.0
"""A gateway says hello within this."""
LOOK_S = 1.0
"""Between two looks at whether silent gateways are dead."""
NONCE_BYTES = 16
Foresee: TypeAlias = Callable[[], Mapping[str, RefusalReason | None]]
_decoder = msgspec.msgpack.Decoder(FromGateway)


class Hosting:
    """Serves one host on a bound socket. `foresee` says of each pool why no replica is expected (None: one is, or is there)."""

    def __init__(self, host: Host, census: Census, token: Secret, gateways_max: int, foresee: Foresee) -> None:
        self._foresee = foresee
        self._host = host
        self._census = census
        self._token = token
        self._gateways_max = gateways_max
        self._server: asyncio.Server | None = None
        self._channels: set[Channel[FromGateway]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def open(self, address: socket.socket) -> None:
        """Take gateways in from now on."""
        self._server = await asyncio.start_server(self._serve, sock=address)
        self._watch = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Let all connections end; gateways serve on with what they have."""
        if self._watch is not None:
            self._watch.cancel()
        if self._server is not None:
            self._server.close()
        for channel in list(self._channels):
            channel.close()
        tasks = [*self._serving, *([self._watch] if self._watch else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def serve(self, models: Iterable[ModelSpec]) -> None:
        """Tell gateways of the models there are."""
        self._host.serve(models)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        channel = Channel(reader, writer, _decoder)
        self._channels.add(channel)
        try:
            await self._converse(channel)
        except (OSError, TimeoutError):
            pass
        finally:
            channel.close()
            self._channels.discard(channel)
            self._serving.discard(task)

    async def _converse(self, channel: Channel[FromGateway]) -> None:
        nonce = secrets.token_hex(NONCE_BYTES)
        channel.say(Challenge(nonce))
        hello = await channel.hear(HELLO_S)
        objection = self._objection(hello, nonce)
        if not isinstance(hello, Hello) or objection:
            channel.say(Refusal(objection))
            return
        proof = prove(self._token.reveal(), "controller", hello.nonce, nonce)
        session = self._host.join(hello, channel.say, proof)
        self._note()
        beating = asyncio.create_task(_beat(channel))
        try:
            async for word in channel.words():
                self._host.hear(hello.gateway, session, word)
        finally:
            beating.cancel()
            self._host.lose(hello.gateway, session)

    def _objection(self, hello: FromGateway, nonce: str) -> str:
        """Say why a gateway is not taken in: 1. it is none; 2. it speaks otherwise; 3. there are enough; 4. it is another of its name."""
        if not isinstance(hello, Hello):  # 1
            return "say hello first"
        expected = prove(self._token.reveal(), "gateway", nonce, hello.nonce, hello.gateway, hello.incarnation)
        if not is_proof(hello.proof, expected):
            return "its token is another one"
        if hello.version != VERSION:  # 2
            return f"it speaks version {hello.version}, this is {VERSION}"
        if hello.gateway not in self._host.guests and len(self._host.guests) >= self._gateways_max:  # 3
            return f"there are {self._gateways_max} gateways already: cluster.gateways_max"
        return self._host.objection(hello)  # 4

    async def _look(self) -> None:
        """Bury silent gateways that are proven dead, and tell all others what is to be expected."""
        never = asyncio.Event()
        while True:
            for name in await self._census.dead(self._host.silent()):
                self._host.bury(name)
            self._note()
            for pool, reason in self._foresee().items():
                self._host.foresee(pool, reason)
            try:
                async with asyncio.timeout(LOOK_S):
                    await never.wait()
            except TimeoutError:
                pass

    def _note(self) -> None:
        self._census.note({name: guest.incarnation for name, guest in self._host.guests.items()})


async def _beat(channel: Channel[FromGateway]) -> None:
    never = asyncio.Event()
    while True:
        try:
            async with asyncio.timeout(BEAT_S / 2):
                await never.wait()
        except TimeoutError:
            channel.beat()
