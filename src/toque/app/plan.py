"""From the settings to what the core needs: threads, footprints and cold starts, remembered or estimated.

Law: what the ledger measured on this machine beats any estimate, and every guess is announced.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path

from toque.model.agent_spec import AgentSpec, ModelSpec
from toque.model.fallback_spec import SpendingSpec
from toque.model.isolation_spec import read_cores
from toque.model.resources import Resources
from toque.model.spec import FleetSpec, PoolSpec
from toque.records.ledger import Ledger

PROCESS_BYTES = 64 * 2**20
"""A child process without a model: interpreter, engine and buffers."""
THREADED = frozenset({"llama.cpp"})
"""Agents whose engine is told how many threads to use."""
NOTHING_SPENT = SpendingSpec()
CONTEXT_TOKEN_BYTES = 24 * 2**10
"""KV cache of one token of a small model (135M to 1B); bigger ones are measured at their first start."""


def settle_threads(models: Sequence[ModelSpec], cores: float) -> tuple[ModelSpec, ...]:
    """Replace `threads = 0` of every model an engine of ours runs by an even share of the cores, at least one.

    The share is that of all replicas there may be at once, and no more than the model's isolation leaves a replica: threads that
    wait for each other on one core are slower than one thread. Models without an engine of ours (user code, the fake) count
    no cores unless the settings say so: nobody knows what they need.
    """
    engines = [model for model in models if model.agent.agent in THREADED and not model.runs_in_pod]
    replicas = sum(model.pool.replicas.maximum for model in engines)
    share = max(1, int(cores // max(1, replicas)))
    return tuple(
        replace(model, agent=replace(model.agent, threads=model.agent.threads or _most(model, share)))
        if model in engines
        else model
        for model in models
    )


def _most(model: ModelSpec, share: int) -> int:
    """Return as many threads as a replica can run at once, if that is less than its share."""
    isolation = model.isolation
    cores = len(read_cores(isolation.cores)) if isolation.cores else share
    return min(share, cores, ceil(isolation.cpu_max) or share)


def model_identity(model: ModelSpec) -> str:
    """Name what a measured start depends on: another file, context or number of slots is another start."""
    agent = model.agent
    size = _file_bytes(agent)
    return f"{agent.agent}:{Path(agent.source).name}:{size}:{model.pool.slots}x{agent.context_tokens}:{agent.threads}t"


def plan_fleet(
    models: tuple[ModelSpec, ...], capacity: Resources, ledger: Ledger, spending: SpendingSpec = NOTHING_SPENT
) -> FleetSpec:
    """Put all pools under one budget, with what is known of each."""
    return FleetSpec(tuple(_plan_pool(model, ledger) for model in models), capacity, spending)


def fill_capacity(wanted: Resources, machine: Resources, announce: Callable[[str], None]) -> Resources:
    """Take the settings where they say something, and the machine where they do not."""
    filled = Resources(
        wanted.memory_bytes or machine.memory_bytes, wanted.cores or machine.cores, wanted.gpu_memory_bytes
    )
    if filled != wanted:
        announce(f"capacity: {filled.memory_bytes / 2**30:.1f} GiB of memory and {filled.cores:g} cores for replicas")
    return filled


def _plan_pool(model: ModelSpec, ledger: Ledger) -> PoolSpec:
    if not model.pool.elastic:
        return model.pool
    known = ledger.entry(model_identity(model))
    memory_bytes = known.memory_bytes if known and known.memory_bytes else estimate_bytes(model)
    memory_bytes = min(memory_bytes, model.isolation.memory_bytes_max or memory_bytes)
    here = Resources(memory_bytes, float(model.agent.threads), model.pool.footprint.gpu_memory_bytes)
    return replace(
        model.pool,
        footprint=Resources() if model.runs_in_pod else here,
        cold_start=known.cold_start if known else model.pool.cold_start,
    )


def estimate_bytes(model: ModelSpec) -> int:
    """Guess what a replica takes before one was measured."""
    context_bytes = model.pool.slots * model.agent.context_tokens * CONTEXT_TOKEN_BYTES if model.agent.source else 0
    return PROCESS_BYTES + _file_bytes(model.agent) + context_bytes


def _file_bytes(agent: AgentSpec) -> int:
    try:
        return Path(agent.source).stat().st_size if agent.source else 0
    except OSError:
        return 0
