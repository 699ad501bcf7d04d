"""One child process and its group: started, listened to, ended.

Law: the child gets an argument list and a few allowed environment variables, never more. `end` returns when nothing of its
group is left. The leader stays a zombie until the rest of its group is killed, so that no signal ever meets a stranger.
"""

import asyncio
import os
import select
import signal
import subprocess
from collections.abc import Callable, Mapping

from toque.drivers.pipe import PipeReader
from toque.drivers.ring import BYTES_MAX, OutputRing
from toque.drivers.status import Status, StatusLines
from toque.ports import CHILD_PARENT_PID, CHILD_STATUS_FD, Launch

# fmt: off
ENVIRONMENT_ALLOWED = frozenset({
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES",
})
# fmt: on
"""What a child sees of our environment. Keys of providers live in the rest of it."""


class Child:
    """A running process group. `exited` completes with the leader's return code (negative: a signal's number)."""

    def __init__(
        self, launch: Launch, environment: Mapping[str, str], output: OutputRing, hear: Callable[[Status], None]
    ) -> None:
        """Start it. Raises `OSError` when that cannot be done. `hear` is called for each status it tells."""
        self._loop = asyncio.get_running_loop()
        self._output = output
        self.exited: asyncio.Future[int] = self._loop.create_future()
        status_read, status_write = os.pipe()
        output_read, output_write = os.pipe()
        try:
            self._process = _spawn(launch, environment, status_write, output_write)
        except OSError:
            os.close(status_read)
            os.close(output_read)
            raise
        finally:
            os.close(status_write)
            os.close(output_write)
        self.pid = self._process.pid
        self._pidfd = os.pidfd_open(self.pid)
        self._pipes = PipeReader(status_read, StatusLines(hear).feed), PipeReader(output_read, output.feed)
        self._loop.add_reader(self._pidfd, self._on_exit)

    def is_alive(self) -> bool:
        """Ask the kernel, now."""
        if self.exited.done():
            return False
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return not poll.poll(0)

    def kill(self) -> None:
        """End the whole group at once, without a chance to object."""
        self._signal(signal.SIGKILL)

    async def end(self, grace_s: float) -> None:
        """Ask the group to end, force it after `grace_s`, and return when it is gone. Cancelled: force it now."""
        try:
            self._signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(grace_s):
                    await asyncio.shield(self.exited)
            except TimeoutError:
                self.kill()
                await asyncio.shield(self.exited)
        finally:
            self.kill()

    def exit_sentence(self) -> str:
        """Say how it ended, for a person."""
        code = self.exited.result()
        if code == -signal.SIGKILL:
            return "killed (signal 9, probably out of memory)"
        if code < 0:
            return f"killed (signal {-code}, {signal.strsignal(-code)})"
        last = self._output.last_lines(1)
        return f"exited with code {code}" + (f": {last[0]}" if last else " without a word")

    def _signal(self, number: signal.Signals) -> None:
        if not self.exited.done():
            os.killpg(self.pid, number)

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self.kill()
        code = self._process.wait()  # it has ended: this only reaps it
        os.close(self._pidfd)
        for pipe in self._pipes:
            pipe.drain(BYTES_MAX)
            pipe.close()
        self.exited.set_result(code)


def _spawn(launch: Launch, environment: Mapping[str, str], status_fd: int, output_fd: int) -> subprocess.Popen[bytes]:
    """Fork and execute, in the loop's own thread: a child's PDEATHSIG follows the thread that made it."""
    allowed = {name: content for name, content in environment.items() if name in ENVIRONMENT_ALLOWED}
    wiring = {CHILD_STATUS_FD: str(status_fd), CHILD_PARENT_PID: str(os.getpid())}
    return subprocess.Popen(  # noqa: S603 - a list of ours, no shell
        launch.argv,
        stdin=subprocess.DEVNULL,
        stdout=output_fd,
        stderr=subprocess.STDOUT,
        env=allowed | dict(launch.environment) | wiring,
        pass_fds=(status_fd,),
        start_new_session=True,
    )
