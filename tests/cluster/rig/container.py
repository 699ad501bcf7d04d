"""One container of a Pod on a virtual machine: a local process, started again after it ends, as a kubelet would."""

import asyncio
import os
import shlex
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.cluster.rig.api import Object
from tests.cluster.rig.images import Image
from tests.cluster.rig.link import lapse
from tests.cluster.rig.probes import Probe

BACK_OFF_S = 1.0
BACK_OFF_S_MAX = 30.0
"""Before a container is started again, doubling; the first time at once. A kubelet takes 10 s and 300 s."""
MESSAGE_BYTES = 2048
"""Of the end of its output, kept as its last words."""


@dataclass(frozen=True)
class Command:
    """What to run, and which folders it sees at other paths."""

    argv: list[str]
    environment: dict[str, str]
    mounts: Mapping[str, Path] = field(default_factory=dict)

    @property
    def line(self) -> list[str]:
        """The whole of it: whoever sees other paths has a mount namespace of its own."""
        binds = [f"mount --bind {shlex.quote(str(source))} {shlex.quote(path)}" for path, source in self.mounts.items()]
        scene = ["unshare", "--mount", "sh", "-c", " && ".join([*binds, 'exec "$@"']), "sh"] if binds else []
        return ["setpriv", "--pdeathsig", "KILL", *scene, *self.argv]


@dataclass
class Surroundings:
    """What a container needs from its Pod and its machine."""

    address: str
    folder: Path
    image: Callable[[str], Image]
    is_here: Callable[[str], bool]
    """Whether the image is on this machine; it is from the first pull on."""
    command: Callable[[Object, Image], Awaitable[Command]]
    """Raises `LookupError` where a Secret or the like is missing."""
    happened: Callable[[str, str], None]
    """Takes the reason and the message of an Event."""
    changed: Callable[[], None]


@dataclass
class Container:
    """`state` and `last` as in a container's status. `live` runs until it is over."""

    spec: Object
    around: Surroundings
    restarts_always: bool = True
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last: Object = field(default_factory=dict)
    restarts: int = 0
    is_started: bool = False
    is_ready: bool = False
    process: asyncio.subprocess.Process | None = None
    end_reason: str = ""
    """What its next end is put down to, such as OOMKilled."""
    _is_ending: bool = False
    _grace_s: float = 30.0

    @property
    def name(self) -> str:
        """Its name in the Pod."""
        return str(self.spec["name"])

    @property
    def is_over(self) -> bool:
        """Whether it has ended for good."""
        return "terminated" in self.state and (self._is_ending or not self.restarts_always)

    def status(self) -> Object:
        """As in a Pod's status."""
        image = self.spec["image"]
        told = {"name": self.name, "image": image, "imageID": "", "restartCount": self.restarts, "state": self.state}
        return told | {"lastState": self.last, "ready": self.is_ready, "started": self.is_started}

    async def live(self) -> None:
        """Pull, start, and start again."""
        while not self._is_ending:
            await self._pull()
            command = await self._command()
            await self._run(command)
            if self._is_ending or not self.restarts_always:
                return
            await self._back_off()

    async def end(self, grace_s: float) -> None:
        """Ask it to end, then make it."""
        self._is_ending = True
        process = self.process
        if process is None:
            return
        _signal(process, signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await process.wait()
        self.kill()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to whatever runs."""
        if self.process is not None:
            _signal(self.process, number)

    # ---- its steps

    def _turn(self, **state: Object) -> None:
        self.state = dict(state)
        self.around.changed()

    async def _pull(self) -> None:
        """Have the image, or say why not, and try again."""
        name, policy, failures = self.spec["image"], self.spec.get("imagePullPolicy", "IfNotPresent"), 0
        while policy == "Always" or not self.around.is_here(name):
            image = self.around.image(name)
            if policy == "Never":
                self._turn(waiting={"reason": "ErrImageNeverPull", "message": f"{name} is not here"})
            elif image.is_missing:
                told = f'rpc error: code = NotFound desc = failed to pull "{name}": not found'
                self._turn(waiting={"reason": "ErrImagePull", "message": told})
                self.around.happened("Failed", told)
                await lapse(0.3)
                self._turn(waiting={"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{name}"'})
            else:
                self.around.happened("Pulling", f'Pulling image "{name}"')
                await lapse(image.pull_s)
                break
            await lapse(min(BACK_OFF_S * 2.0**failures, BACK_OFF_S_MAX))
            failures += 1
        self.around.happened("Pulled", f'Container image "{name}" is here')

    async def _command(self) -> Command:
        while True:
            try:
                return await self.around.command(self.spec, self.around.image(self.spec["image"]))
            except LookupError as missing:
                self._turn(waiting={"reason": "CreateContainerConfigError", "message": str(missing)})
            await lapse(BACK_OFF_S)

    async def _run(self, command: Command) -> None:
        """One life of its process."""
        began = _now()
        log = self.around.folder / f"{self.name}.{self.restarts}.log"
        try:
            with log.open("wb") as output:
                self.process = await asyncio.create_subprocess_exec(
                    *command.line,
                    stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                    env=command.environment, cwd=self.around.folder, start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            self._turn(waiting={"reason": "RunContainerError", "message": str(error)})
            return
        self._turn(running={"startedAt": began})
        self.around.happened("Started", f"Started container {self.name}")
        watching = asyncio.create_task(self._watch_over())
        try:
            code = await self.process.wait()
        finally:
            watching.cancel()
            _signal(self.process, signal.SIGKILL)  # whatever it left
            self.process = None
        self._ended(code, began, log)

    def _ended(self, code: int, began: str, log: Path) -> None:
        self.is_started = self.is_ready = False
        exit_code = code if code >= 0 else 128 - code
        reason = self.end_reason or ("Error" if exit_code else "Completed")
        self.end_reason = ""
        words = log.read_bytes()[-MESSAGE_BYTES:].decode(errors="replace")
        is_told = exit_code and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError"
        told = {"message": words} if is_told else {}
        ended = {"exitCode": exit_code, "reason": reason, "startedAt": began, "finishedAt": _now(), **told}
        self._turn(terminated=ended)

    async def _back_off(self) -> None:
        self.last = self.state
        wait_s = min(BACK_OFF_S * 2.0 ** (self.restarts - 1), BACK_OFF_S_MAX) if self.restarts else 0.0
        self.restarts += 1
        if wait_s:
            told = f"back-off {wait_s:g}s restarting failed container={self.name}"
            self._turn(waiting={"reason": "CrashLoopBackOff", "message": told})
            self.around.happened("BackOff", told)
            await lapse(wait_s)

    # ---- probes

    async def _watch_over(self) -> None:
        if (startup := self._probe("startupProbe")) and not await startup.succeed():
            await self._give_up("startup")
            return
        self.is_started = True
        readiness, liveness = self._probe("readinessProbe"), self._probe("livenessProbe")
        self._set_ready(readiness is None)
        following = [readiness.follow(self._set_ready)] if readiness else []
        if liveness:
            following.append(self._stay_alive(liveness))
        await asyncio.gather(*following)

    async def _stay_alive(self, liveness: Probe) -> None:
        dead = asyncio.Event()
        asking = asyncio.create_task(liveness.follow(lambda is_well: None if is_well else dead.set()))
        try:
            await dead.wait()
        finally:
            asking.cancel()
        await self._give_up("liveness")

    async def _give_up(self, probe: str) -> None:
        self.around.happened("Killing", f"Container {self.name} failed {probe} probe, will be restarted")
        process = self.process
        if process is not None:
            _signal(process, signal.SIGTERM)
            await lapse(self._grace_s)
            _signal(process, signal.SIGKILL)

    def _probe(self, which: str) -> Probe | None:
        return Probe(self.spec[which], self.spec, self.around.address) if which in self.spec else None

    def _set_ready(self, is_ready: bool) -> None:
        self.is_ready = is_ready
        self.around.changed()


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
