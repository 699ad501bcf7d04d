"""What `toque check` finds about isolation: which of its settings hold on this machine, and whether the models' can.

Law: what holds is found by trying, from where the command runs; what does not and nobody asks for is no reason to worry.
"""

import os
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields

from toque.app.plan import estimate_bytes
from toque.app.state import state_dir
from toque.cli.findings import Finding, Verdict
from toque.cli.layout import size
from toque.drivers.trial import Trial, try_isolation
from toque.model.agent_spec import ModelSpec
from toque.model.isolation_spec import FREE, IsolationSpec, read_cores
from toque.model.service_spec import ServiceSpec

SUBJECT = "isolation"


def check_isolation(spec: ServiceSpec, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Try what there is to try, then look at each model that asks for something."""
    try:
        trials = list(try_isolation(state_dir(spec.records.state_dir, environment)))
    except OSError:
        return  # the finding about the state directory says it all
    if held := [name for trial in trials if trial.holds for name in trial.settings]:
        yield Finding(Verdict.OK, SUBJECT, f"tried here, and found to hold: {', '.join(held)}")
    for trial in trials:
        if not trial.holds:
            yield _missed(trial, spec)
    for model in spec.models:
        if model.isolation != FREE:
            yield from _check_model(model)


def _missed(trial: Trial, spec: ServiceSpec) -> Finding:
    text = f"found not to hold here: {', '.join(trial.settings)} ({trial.reason})"
    asking = [model.pool.name for model in spec.models if _asked(model.isolation) & set(trial.settings)]
    if asking:
        return Finding(Verdict.NOTE, SUBJECT, f"{text}; {', '.join(asking)} would run without", trial.fix)
    return Finding(Verdict.OK, SUBJECT, f"{text}; no model asks for it")


def _asked(isolation: IsolationSpec) -> set[str]:
    """Name the settings that a model's isolation comes to: its class stands for two."""
    said = {field.name for field in fields(isolation) if getattr(isolation, field.name) != getattr(FREE, field.name)}
    return said | ({"scheduling", "nice"} if isolation.is_batch else set())


def _check_model(model: ModelSpec) -> Iterator[Finding]:
    isolation, subject = model.isolation, f"isolation of {model.pool.name}"
    wanted = read_cores(isolation.cores) if isolation.cores else frozenset()
    allowed = os.sched_getaffinity(0)
    if strange := wanted - allowed:
        yield Finding(
            Verdict.NOTE, subject, f"toque may not use core {_listed(strange)}", f"it may use {_listed(allowed)}"
        )
    need = estimate_bytes(model)
    if 0 < isolation.memory_bytes_max < need:
        text = f"a replica is killed at {size(isolation.memory_bytes_max)}, and may need {size(need)}"
        yield Finding(Verdict.NOTE, subject, text, "raise memory_bytes_max, or lower slots or context_tokens")
    if isolation.is_batch:
        yield Finding(Verdict.OK, subject, f"batch: {isolation.discipline} scheduling, nice {isolation.niceness}")


def _listed(cores: AbstractSet[int]) -> str:
    return ", ".join(map(str, sorted(cores)))
