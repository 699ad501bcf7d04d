"""Contradictions between settings that are each valid alone.

Law: a rule yields what is wrong, where, and what to write instead; it never repairs.
"""

import re
from collections.abc import Iterator
from itertools import chain, combinations, pairwise
from urllib.parse import urlsplit

from toque.config.address import is_loopback, split_address
from toque.config.advice_rules import advice_contradictions
from toque.config.cluster_rules import cluster_contradictions
from toque.config.complaints import did_you_mean
from toque.config.contradiction import Contradiction
from toque.config.deploy_rules import deploy_contradictions
from toque.config.fallback_rules import fallback_contradictions
from toque.config.isolation_rules import isolation_contradictions
from toque.config.pod_rules import pod_contradictions
from toque.config.secret import REFERENCE
from toque.config.source import KeyPath
from toque.model.agent_spec import AgentSpec, ModelSpec
from toque.model.overload import OverloadSpec
from toque.model.service_spec import KeySpec, ServiceSpec
from toque.model.spec import PoolSpec

_DIGEST = re.compile(r"[0-9a-f]{64}")


def first_contradiction(spec: ServiceSpec) -> Contradiction | None:
    """Return the first rule that does not hold."""
    found = chain(
        _addresses(spec),
        _ladder(spec.overload),
        *(_pool(model.pool) for model in spec.models),
        *(_agent(model) for model in spec.models),
        *(isolation_contradictions(model) for model in spec.models),
        *(pod_contradictions(model, spec) for model in spec.models),
        _keys(spec),
        _store(spec.jobs.store),
        cluster_contradictions(spec.cluster),
        advice_contradictions(spec.advice),
        deploy_contradictions(spec.deploy),
        fallback_contradictions(spec),
        _open_door(spec),
    )
    return next(found, None)


def _addresses(spec: ServiceSpec) -> Iterator[Contradiction]:
    listeners = {"listen": spec.listen, "admin_listen": spec.admin_listen, "metrics_listen": spec.metrics_listen}
    for name, text in listeners.items():
        try:
            host, _ = split_address(text)
        except ValueError:
            if name != "listen" and text == "off":
                continue
            yield Contradiction((name,), f"{name} {text!r} is no address.", "Write host:port, such as 127.0.0.1:8080.")
            return
        if name == "admin_listen" and not is_loopback(host):
            yield Contradiction(
                (name,),
                f"admin_listen {text!r} is not a loopback address: metrics and admin have no keys.",
                'Write "127.0.0.1:8081", or "off"; let a proxy of yours guard it if others must reach it.',
            )
    for (one, at), (other, there) in combinations(listeners.items(), 2):
        if at == there and at != "off" and not at.endswith(":0"):
            yield Contradiction((other,), f"{other} is the same as {one}.", "Give it a port of its own.")


def _ladder(overload: OverloadSpec) -> Iterator[Contradiction]:
    names = ("keep_alive_ratio", "shed_batch_ratio", "shed_all_ratio", "accept_ratio")
    steps = [(name, float(getattr(overload, name))) for name in names]
    for (below, lower), (above, upper) in pairwise(steps):
        if lower > upper:
            yield Contradiction(
                ("overload", above),
                f"{above} {upper:g} is below {below} {lower:g}.",
                f"The steps follow each other: {', '.join(names)}.",
            )


def _open_door(spec: ServiceSpec) -> Iterator[Contradiction]:
    host, port = split_address(spec.listen)
    if not spec.keys and not spec.keys_file and not is_loopback(host):
        yield Contradiction(
            ("listen",),
            f"Listening on {spec.listen} without keys would let anyone on the network use the models.",
            f'Either stay on this machine: listen = "127.0.0.1:{port}", or add a key: `toque key create NAME` prints one '
            "and the lines for the settings file.",
        )


def _pool(pool: PoolSpec) -> Iterator[Contradiction]:
    here = ("models", pool.name)
    bounds, scaling, restart = pool.replicas, pool.scaling, pool.restart
    if bounds.minimum_warm > bounds.maximum:
        yield Contradiction(
            (*here, "replicas", "minimum_warm"),
            f"minimum_warm {bounds.minimum_warm} is above maximum {bounds.maximum}.",
            f"Write maximum = {bounds.minimum_warm}, or a lower minimum_warm.",
        )
    if scaling.policy == "fixed" and scaling.target > bounds.maximum:
        yield Contradiction(
            (*here, "scaling", "target"),
            f"The policy fixed wants {scaling.target:g} replicas, but maximum is {bounds.maximum}.",
            f"Write replicas = {{ maximum = {scaling.target:g} }}, or a lower target.",
        )
    if scaling.burst_window_s > scaling.stable_window_s:
        yield Contradiction(
            (*here, "scaling", "burst_window_s"),
            f"burst_window_s {scaling.burst_window_s:g} is longer than stable_window_s {scaling.stable_window_s:g}.",
            "The burst window notices what the stable one averages away: a tenth of it is usual.",
        )
    if restart.backoff_s_min > restart.backoff_s_max:
        yield Contradiction(
            (*here, "restart", "backoff_s_min"),
            f"backoff_s_min {restart.backoff_s_min:g} is above backoff_s_max {restart.backoff_s_max:g}.",
            "The wait grows from the first to the second.",
        )


def _agent(model: ModelSpec) -> Iterator[Contradiction]:
    agent, here = model.agent, ("models", model.pool.name)
    match agent.agent:
        case "openai":
            yield from _hosted(agent, here, model.pool)
        case "llama.cpp" if not agent.source:
            yield Contradiction(
                (*here, "source"),
                f"{'.'.join(here)} says no model to load.",
                'Write source = "./model.gguf", or source = "embedded" for the model that comes along.',
            )
        case "llama.cpp" | "fake" if agent.url:
            yield Contradiction(
                (*here, "url"), f"The agent {agent.agent} takes no url.", 'Write agent = "openai" to call a URL.'
            )
    if agent.key and not REFERENCE.fullmatch(agent.key):
        yield Contradiction(
            (*here, "key"),
            f"{'.'.join(here)}.key must say where the key is; a key itself does not belong in settings.",
            'Write key = "env:NAME" or key = "file:PATH".',
        )


def _hosted(agent: AgentSpec, here: KeyPath, pool: PoolSpec) -> Iterator[Contradiction]:
    try:
        url = urlsplit(agent.url)
        is_usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        is_usable = False
        url = urlsplit("")
    if not is_usable or url.query or url.fragment:
        yield Contradiction(
            (*here, "url"),
            f"{'.'.join(here)}.url must be the base URL of an OpenAI-compatible API.",
            'Write it up to and including /v1: url = "http://127.0.0.1:8000/v1".',
        )
    if url.username is not None or url.password is not None:
        yield Contradiction(
            (*here, "url"), "A key does not belong into a url.", 'Write key = "env:NAME" or key = "file:PATH".'
        )
    if agent.source:
        yield Contradiction((*here, "source"), "The agent openai takes no source.", "Leave it out; url says it all.")
    if pool.replicas.maximum != 1 or pool.replicas.minimum_warm > 1:
        yield Contradiction(
            (*here, "replicas"),
            "Replicas behind a url are not ours to start.",
            "Leave replicas out; slots says how many calls may be open at once.",
        )


def _store(place: str) -> Iterator[Contradiction]:
    if "://" not in place:
        return
    try:
        url = urlsplit(place)
        has_secret = url.password is not None or "password" in url.query
    except ValueError:
        has_secret = False
    if has_secret:
        yield Contradiction(
            ("jobs", "store"),
            "A password does not belong into settings.",
            'Write store = "env:NAME" or store = "file:PATH", and the whole URL there.',
        )
    elif not place.startswith("postgresql://"):
        yield Contradiction(
            ("jobs", "store"),
            "jobs.store is neither a file nor a PostgreSQL server.",
            'Write "postgresql://USER@HOST/DB".',
        )


def _keys(spec: ServiceSpec) -> Iterator[Contradiction]:
    names = [model.pool.name for model in spec.models]
    owners: dict[str, KeySpec] = {}
    for key in spec.keys:
        here = ("keys", key.name)
        digests = {"sha256": key.sha256} | ({"former_sha256": key.former_sha256} if key.former_sha256 else {})
        for setting, digest in digests.items():
            if not _DIGEST.fullmatch(digest):
                yield Contradiction(
                    (*here, setting),
                    f"{'.'.join(here)}.{setting} is no SHA-256 digest.",
                    "It has 64 hexadecimal digits in lower case; `toque key create NAME` prints key and digest.",
                )
            other = owners.setdefault(digest, key)
            if other is not key:
                yield Contradiction(
                    here, f"The keys {other.name!r} and {key.name!r} are the same.", "Give each its own."
                )
        if spec.cluster.controllers:  # which models there are, a controller tells later
            continue
        for name in sorted(key.models - set(names)):
            yield Contradiction((*here, "models"), f"There is no model {name!r}.", did_you_mean(name, names))
