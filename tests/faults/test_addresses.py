"""A port that is taken ends the start before anything else has begun."""

import socket
from pathlib import Path

import pytest

from tests.service import PATIENCE_S, started
from toque.cli.exits import Exit

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("setting", ["listen", "admin_listen", "metrics_listen"])
def test_a_taken_port_is_told_before_a_replica_begins_to_load(tmp_path: Path, setting: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        free = {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", setting: address}
        path = tmp_path / "toque.toml"
        lines = [f'{name} = "{value}"' for name, value in free.items()]
        path.write_text("\n".join([*lines, '[models.chat]\nagent = "fake"\n']))
        with started(["up", "--json", "--config", str(path)], tmp_path) as service:
            assert service.process.wait(PATIENCE_S) == Exit.USAGE
        told = "".join(service.errors)
        assert f"cannot listen on {address}: Address already in use" in told
        assert f"set {setting} to another address" in told
        assert service.announced == [], "nothing was begun"
