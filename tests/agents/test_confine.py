"""S19: a process that reads somebody's model file runs no program and traces nobody, and works on otherwise."""

import subprocess
import sys

import pytest

REFUSED = {
    "a program": 'os.execv("/bin/true", ["true"])',
    "a program of a child": 'subprocess.run(["/bin/true"])',
    "a program started from a thread": "in_thread(lambda: os.execv('/bin/true', ['true']))",
    "another root": 'os.chroot("/tmp")',
    "a trace": "libc.ptrace(16, os.getppid(), 0, 0) == 0 or fail(ctypes.get_errno())",
}
PRELUDE = """
import ctypes, os, socket, subprocess, threading
from toque.agents.confine import confine
libc = ctypes.CDLL(None, use_errno=True)
def fail(number): raise OSError(number, os.strerror(number))
def in_thread(call):
    told = []
    def run():
        try: call()
        except OSError as error: told.append(error)
    thread = threading.Thread(target=run)
    thread.start(); thread.join()
    if told: raise told[0]
"""


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(run("print(confine())") != "True", reason="this kernel or processor has no filter of system calls")
@pytest.mark.parametrize("code", REFUSED.values(), ids=REFUSED)
def test_s19_what_an_engine_never_needs_is_refused(code: str) -> None:
    told = run(f"confine()\ntry:\n    {code}\nexcept PermissionError: print('refused')")
    assert told == "refused"


def test_s19_threads_sockets_and_files_work_as_before() -> None:
    told = run(
        "confine()\n"
        "in_thread(lambda: print('a thread'))\n"
        "with socket.create_server(('127.0.0.1', 0)) as server, socket.create_connection(server.getsockname()): print('a socket')\n"
        "print(len(open(os.__file__).read()) > 0)\n"
    )
    assert told.splitlines() == ["a thread", "a socket", "True"]


def test_s19_where_it_cannot_be_done_nothing_changes() -> None:
    code = "import platform\nplatform.machine = lambda: 'abacus'\nprint(confine())\nprint(subprocess.run(['/bin/true']).returncode)"
    assert run(code).splitlines() == ["False", "0"]
