"""The settings that travel with a replica to another machine, as the text of a settings file.

Law: only what the replica itself goes by; how it is routed to, scaled and paid for stays at home. No secret is in it.
"""

import json
from dataclasses import fields
from pathlib import PurePosixPath

from toque.config.show import toml_text
from toque.model.agent_spec import AgentSpec, ModelSpec
from toque.ports import MODELS_DIR

EMBEDDED = "embedded"
"""A source that is no file: the model that comes along, wherever toque is."""
_STAY = frozenset({"url", "key", "upstream_model", "fields", "fetches_addresses", "health_interval_s"})


def replica_settings(model: ModelSpec) -> str:
    """Return what `toque replica` of this model reads where it runs: the model's file goes by its name in MODELS_DIR."""
    lines = [f"[models.{json.dumps(model.pool.name)}]", f"slots = {model.pool.slots}"]
    lines += [f"{name} = {toml_text(value)}" for name, value in _own(model.agent).items()]
    if model.isolation.cpu_max:
        lines.append(f"isolation = {{ cpu_max = {model.isolation.cpu_max} }}")
    return "\n".join(lines) + "\n"


def _own(agent: AgentSpec) -> dict[str, object]:
    """Return the settings of an agent that are no defaults and matter where its replica is."""
    usual = AgentSpec()
    names = [field.name for field in fields(AgentSpec) if field.name not in _STAY]
    own = {name: getattr(agent, name) for name in names if getattr(agent, name) != getattr(usual, name)}
    if agent.source and agent.source != EMBEDDED:
        own["source"] = f"{MODELS_DIR}/{PurePosixPath(agent.source).name}"
    return own
