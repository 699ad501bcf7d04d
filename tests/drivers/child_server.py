"""A child process for driver tests: `python -m tests.drivers.child_server BEHAVIOUR...`, each word one thing it does."""

import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from toque.agents.child import join_parent

behaviours = set(sys.argv[1:])
pipe, secret = join_parent()


class Answers(BaseHTTPRequestHandler):
    """Everything is well for those who know the secret."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        knows = self.headers.get("authorization") == f"Bearer {secret.reveal()}"
        self.send_response(503 if "unwell" in behaviours else 200 if knows else 401)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


if "stubborn" in behaviours:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "noisy" in behaviours:
    sys.stderr.write("noise\n" * 2_000_000)
    print(f"\x1b[31mdone\x1b[0m {secret.reveal()}", file=sys.stderr, flush=True)
if "family" in behaviours:
    print(subprocess.Popen(["sleep", "600"]).pid, flush=True)
if "refuse" in behaviours:
    pipe.failed("model.gguf: not a GGUF file")
    sys.exit(1)
if "hungry" in behaviours:
    eaten = [bytearray(b"x" * 2**20) for _ in range(256)]
if "exit" in behaviours:
    sys.exit("no room for the model")
if "endless" in behaviours:
    signal.pause()
server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
pipe.loading(0.5)
pipe.loaded()
pipe.ready(server.server_port)
server.serve_forever()
