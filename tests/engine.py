"""A replica asked past the gateway: its port and its secret as a look at its process finds them (Linux, same user)."""

from pathlib import Path
from urllib.request import Request, urlopen

from tests.service import Service


class Engine:
    """One replica of a running service, by itself."""

    def __init__(self, service: Service, pool: str = "chat") -> None:
        row = next(row for row in service.replicas() if row["pool"] == pool)
        pid = row["status"]["pid"]
        environment = dict(
            pair.split("=", 1) for pair in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in pair
        )
        (self.secret,) = [value for name, value in environment.items() if "SECRET" in name]
        self.url = f"http://127.0.0.1:{_listening_port(pid)}"

    def counter(self, name: str) -> float:
        """One of llama.cpp's own metrics."""
        request = Request(f"{self.url}/metrics", headers={"Authorization": f"Bearer {self.secret}"})
        with urlopen(request, timeout=5) as page:
            lines = page.read().decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"llamacpp:{name} "))

    def decoding_has_stopped(self) -> bool:
        """Nothing is processed."""
        return not self.counter("requests_processing")


def _listening_port(pid: int) -> int:
    inodes = {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
            return int(fields[1].split(":")[1], 16)
    raise AssertionError("the replica listens nowhere")
