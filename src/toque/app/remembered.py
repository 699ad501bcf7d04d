"""What is remembered of a model's starts on this machine, for whoever asks without starting anything.

Law: the same identity is asked for as `toque up` would measure under; nothing is fetched.
"""

import os
from dataclasses import replace

from toque.agents.embedded import EMBEDDED_NAME, find
from toque.app.machine import measure_machine
from toque.app.plan import fill_capacity, model_identity, settle_threads
from toque.app.state import state_dir
from toque.model.service_spec import ServiceSpec
from toque.records.ledger import Entry, Ledger


def remembered_start(spec: ServiceSpec, name: str) -> Entry | None:
    """Return what the ledger has of a model of the settings; None where it was never started here as it is set now."""
    home = state_dir(spec.records.state_dir, os.environ)
    capacity = fill_capacity(spec.capacity, measure_machine(), lambda _: None)
    embedded = find(home / "models")
    models = [
        replace(model, agent=replace(model.agent, source=str(embedded or EMBEDDED_NAME)))
        if model.agent.source == EMBEDDED_NAME
        else model
        for model in spec.models
    ]
    settled = {model.pool.name: model for model in settle_threads(models, capacity.cores)}
    return Ledger(home / "ledger.json").entry(model_identity(settled[name]))
