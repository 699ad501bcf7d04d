"""R10: a model that outgrows the memory it was given is killed alone, says why, and is not tried for ever."""

from pathlib import Path

import pytest

from tests.drivers.cgroups import needs_memory_groups
from tests.service import serving, until

pytestmark = [pytest.mark.slow, needs_memory_groups]

AGENT = """
class Hungry:
    async def open(self):
        self.eaten = [bytearray(b"x" * 2**20) for _ in range(256)]
"""
SETTINGS = """
[models.chat]
agent = "fake"
[models.hungry]
agent = "hungry:Hungry"
isolation = { memory_bytes_max = "96MiB" }
"""


def test_r10_a_model_over_its_memory_limit_is_started_four_times_and_its_neighbour_never_notices(
    tmp_path: Path,
) -> None:
    (tmp_path / "hungry.py").write_text(AGENT)
    with serving(tmp_path, SETTINGS) as service:
        pid = service.pids()[0]
        until(lambda: service.pool("hungry")["condition"] == "crash_loop" and "4th" in service.pool("hungry")["reason"])
        assert service.pool("hungry")["reason"].startswith("killed at its memory limit of 96 MiB, for the 4th time")
        assert service.ask(model="hungry")[2]["error"]["code"] == "no_healthy_replica"
        assert service.ask()[0] == 200
        assert pid in service.pids()
