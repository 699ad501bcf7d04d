"""The whole configuration as one frozen value: what `toque.toml` becomes.

Law: config.py makes it, app.py reads it, and nobody else sees a settings file or an environment variable.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from toque.model.advice_spec import AdviceSpec
from toque.model.agent_spec import ModelSpec
from toque.model.cluster_spec import ClusterSpec
from toque.model.deploy_spec import DeploySpec
from toque.model.fallback_spec import SpendingSpec
from toque.model.overload import OverloadSpec
from toque.model.pod_spec import KubernetesSpec
from toque.model.resources import Resources
from toque.model.setting import Setting, setting
from toque.model.ticket import PRIORITY
from toque.model.usage import KeyLimitSpec

ADMIN_MARK = "adm_"
"""How the request ids of the admin listener begin, which tells it from the API."""


@dataclass(frozen=True, slots=True)
class KeySpec:
    """One API key: never the key, only its digest. An empty `models` allows every model."""

    name: str
    sha256: str = field(metadata={"setting": Setting("Digest of the key; `toque key create NAME` prints both.")})
    models: frozenset[str] = setting(frozenset(), Setting("Models this key may use; empty allows every model."))
    service_class: str = setting("interactive", Setting("Class of its requests.", choices=("interactive", "batch")))
    priority: int = setting(
        PRIORITY,
        Setting(
            "Priority of its requests inside their class, unless they ask: 0 is served first.", minimum=0, maximum=7
        ),
    )
    priority_best: int = setting(
        PRIORITY,
        Setting(
            "The best priority its requests may ask for by `service_tier`, the Priority header or `priority`; where "
            "`priority` is better, that one.",
            minimum=0,
            maximum=7,
        ),
    )
    share: float = setting(
        1.0,
        Setting(
            "Weight among the keys whose requests wait: one with 2 gets twice the tokens of one with 1.",
            above=0,
            maximum=1000,
        ),
    )
    limits: KeyLimitSpec = field(default_factory=KeyLimitSpec)
    may_leave: bool = setting(
        False,  # noqa: FBT003 - a default
        Setting(
            "A fallback may take requests of this key to another machine. Off, for what a caller sends to a model of "
            "this machine is meant for this machine; models elsewhere that a request names itself are not concerned."
        ),
    )
    former_sha256: str = setting(
        "", Setting("Digest of the key that it took the place of; `toque key rotate` sets it.")
    )
    former_until: float = setting(
        0.0,
        Setting("Until when the former key is accepted too, so that clients have time to change.", "date", minimum=0),
    )
    expires_at: float = setting(0.0, Setting("From when on it is not accepted any more (0: never).", "date", minimum=0))


@dataclass(frozen=True, slots=True)
class LimitSpec:
    """What the gateway accepts and how long it waits."""

    body_bytes_max: int = setting(
        64 * 2**20, Setting("Request body at most; images in messages are large.", "bytes", minimum=1024)
    )
    header_bytes_max: int = setting(
        32 * 2**10, Setting("Header block at most; real clients send under 4 KiB.", "bytes", minimum=1024)
    )
    header_fields_max: int = setting(100, Setting("Header fields at most.", minimum=10))
    url_bytes_max: int = setting(8 * 2**10, Setting("Request target at most.", "bytes", minimum=128))
    header_read_s: float = setting(10.0, Setting("A header must be complete within this time; else 408.", "s", above=0))
    keep_alive_s: float = setting(75.0, Setting("An idle connection is closed after this.", "s", above=0))
    connections_max: int = setting(10_000, Setting("Open client connections at most; more get 503.", minimum=1))
    bad_keys_per_minute_max: int = setting(
        20,
        Setting(
            "Unknown keys from one address in a minute that get 401; more get 429. A person mistypes fewer.", minimum=1
        ),
    )
    bad_key_addresses_max: int = setting(
        10_000, Setting("Addresses whose unknown keys are counted, the latest ones; about 250 bytes each.", minimum=1)
    )
    idempotency_s: float = setting(
        86_400.0,
        Setting("An answer to a request with an Idempotency-Key is kept this long: a day, as elsewhere.", "s", above=0),
    )
    idempotency_answers_max: int = setting(
        10_000, Setting("Such answers kept at most; the oldest go first.", minimum=0)
    )
    idempotency_bytes_max: int = setting(
        64 * 2**20,
        Setting(
            "Bytes of such answers at most; one larger than `stream_buffer_bytes` is not kept at all.",
            "bytes",
            minimum=0,
        ),
    )
    connect_s: float = setting(2.0, Setting("Connecting to a replica may take this long.", "s", above=0))
    ttft_s: float = setting(60.0, Setting("Dispatch to the first byte of an answer.", "s", above=0))
    inter_token_s: float = setting(30.0, Setting("Gap between two pieces of an answer.", "s", above=0))
    request_s: float = setting(
        600.0, Setting("Whole request, queue included; the default timeout of the OpenAI SDK.", "s", above=0)
    )
    slow_reader_s: float = setting(60.0, Setting("A client that takes nothing for this long is cut off.", "s", above=0))
    stream_buffer_bytes: int = setting(
        256 * 2**10,
        Setting("Bytes of a stream held for a slow reader before the replica is paused.", "bytes", minimum=16384),
    )
    heartbeat_s: float = setting(
        1.0, Setting("A held stream gets its first comment line after this, then one each 10 s.", "s", above=0)
    )
    idle_upstream_connections_max: int = setting(64, Setting("Idle connections kept to one replica.", minimum=0))


@dataclass(frozen=True, slots=True)
class RecordSpec:
    """What is written down, and where."""

    state_dir: str = setting(
        "",
        Setting(
            "Where the ledger and downloaded models live (empty: toque under $XDG_CACHE_HOME or ~/.cache).", "path"
        ),
    )
    journal: str = setting(
        "", Setting("File for the journal of (now, event, effects); empty keeps only the ring.", "path")
    )
    journal_bytes_max: int = setting(
        2**30, Setting("The journal file stops growing here, and says so in its last line.", "bytes", minimum=4096)
    )
    journal_ring: int = setting(
        20_000, Setting("Steps of the core kept in memory for `toque why`; about 0.5 KiB each.", minimum=100)
    )
    traffic: str = setting(
        "",
        Setting(
            "File for recorded traffic, which `toque simulate` reads: lengths, timings, class, hashed tenant; no text.",
            "path",
        ),
    )
    access_log: str = setting(
        "-",
        Setting(
            "Access lines: a file, `-` for standard error, or empty for none. JSON, but in words on a terminal.", "path"
        ),
    )


@dataclass(frozen=True, slots=True)
class JobSpec:
    """Files and batches: where they are kept, and how much of them runs at once."""

    store: str = setting(
        "",
        Setting(
            "File of the job store (empty: jobs.sqlite in the state directory), `postgresql://USER@HOST/DATABASE` for"
            " several gateways (with a password: `env:NAME` or `file:PATH` of the URL), or `off`.",
            "path",
        ),
    )
    file_bytes_max: int = setting(
        200 * 2**20,
        Setting(
            "An uploaded file at most; as OpenAI's. It is written while it comes, and never held.", "bytes", minimum=1
        ),
    )
    lease_s: int = setting(
        60,
        Setting(
            "A gateway that says nothing about its items for this long is taken for dead, and another runs them.",
            "s",
            minimum=2,
        ),
    )
    in_flight_max: int = setting(
        512,
        Setting(
            "Items of batches under way at once, so that a backlog costs no memory: more than most fleets have slots.",
            minimum=1,
        ),
    )
    waiting_max: int = setting(
        16,
        Setting(
            "Items of one batch that wait for a slot, beyond those that have one: enough that no slot is idle while the "
            "store is asked for more, and too few to fill the line of batch. All batches together: eight times as many.",
            minimum=1,
        ),
    )


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """Everything. `capacity` zero fields were filled by app.py with what the machine has."""

    models: tuple[ModelSpec, ...]
    listen: str = setting("127.0.0.1:8080", Setting("Address and port of the API. Anything but loopback needs keys."))
    admin_listen: str = setting(
        "127.0.0.1:8081", Setting("Address and port of metrics and admin; loopback only. `off` for none.")
    )
    metrics_listen: str = setting(
        "off",
        Setting(
            "Address and port of metrics and of probes (`/metrics`, `/livez`, `/readyz`) alone, for other machines: they have "
            "no key, and tell the names and the load of models. `off` for none."
        ),
    )
    keys: tuple[KeySpec, ...] = ()
    keys_file: str = setting(
        "",
        Setting(
            "File of further keys, kept by `toque key`, which need not be there yet; with one, nobody passes without a key.",
            "path",
        ),
    )
    limits: LimitSpec = field(default_factory=LimitSpec)
    overload: OverloadSpec = field(default_factory=OverloadSpec)
    records: RecordSpec = field(default_factory=RecordSpec)
    jobs: JobSpec = field(default_factory=JobSpec)
    cluster: ClusterSpec = field(default_factory=ClusterSpec)
    advice: AdviceSpec = field(default_factory=AdviceSpec)
    capacity: Resources = field(default_factory=Resources)
    driver: str = setting(
        "process",
        Setting(
            "Where replicas run that are ours to start: as processes of this machine, or as Pods.",
            choices=("process", "kubernetes"),
            pluggable=True,
        ),
    )
    kubernetes: KubernetesSpec = field(default_factory=KubernetesSpec)
    deploy: DeploySpec = field(default_factory=DeploySpec)
    keyless_may_leave: bool = setting(
        False,  # noqa: FBT003 - a default
        Setting("Where there are no keys, and for `toque.open`: as may_leave of a key."),
    )
    spending: SpendingSpec = field(default_factory=SpendingSpec)
    drain_s_max: float = setting(30.0, Setting("After SIGTERM, requests in flight may take this long.", "s", minimum=0))
    lame_duck_s: float = setting(
        5.0, Setting("After SIGTERM, new requests are still answered (with 503) this long.", "s", minimum=0)
    )
    origins: Mapping[str, str] = field(default_factory=dict)
    """Dotted setting name -> where its value came from (`toque.toml:4`, `TOQUE_LISTEN`, `--listen`, `default`)."""
