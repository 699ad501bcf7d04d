"""Settings that travel with a replica: what it goes by arrives, what is of this machine stays."""

from pathlib import Path

from toque.config.read import read_config, read_settings
from toque.config.travel import replica_settings
from toque.model.agent_spec import ModelSpec

FILE = """\
[models."small:1"]
source = "./weights/small.gguf"
slots = 3
context_tokens = 512
replicas = { maximum = 9 }
isolation = { cpu_max = 1.5 }
[models.mine]
agent = "my.module:Agent"
options = { depth = 2, tone = "kind" }
health_interval_s = 1
"""


def arrived(model: ModelSpec) -> ModelSpec:
    (there,) = read_settings("TOQUE_REPLICA_SETTINGS", replica_settings(model), {}).models
    return there


def test_a_replica_reads_elsewhere_what_it_was_set_to_here(tmp_path: Path) -> None:
    file = tmp_path / "toque.toml"
    file.write_text(FILE)
    small, mine = read_config(file, {}, {}).models
    there = arrived(small)
    assert (there.pool.name, there.pool.slots, there.agent.context_tokens) == ("small:1", 3, 512)
    assert there.agent.source == "/models/small.gguf"
    assert there.isolation.cpu_max == 1.5
    assert there.pool.replicas.maximum == 1
    assert arrived(mine).agent.options == {"depth": 2, "tone": "kind"}
    assert "health_interval_s" not in replica_settings(mine)
