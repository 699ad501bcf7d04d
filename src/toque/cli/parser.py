"""The command line's grammar: which verbs there are, and the parser for the one that was given.

Law: only the module of the given verb is imported, so that `toque --help` costs nothing but argparse.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from toque.cli.exits import MEANINGS
from toque.cli.terminal import Terminal

HELP_WIDTH = 100
DEBUG = "--debug"


class Verb(Protocol):
    """What the module of a verb offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare its arguments."""
        ...

    def run(self, args: argparse.Namespace, terminal: Terminal) -> int:
        """Do it, and return an exit status. Raises `ToqueError` for what a person should read."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One verb: its module, what it does in a few words, and examples to start from."""

    module: str
    summary: str
    examples: tuple[str, ...]


VERBS: Mapping[str, Entry] = {
    "up": Entry(
        "toque.cli.up",
        "serve models: the embedded one, a file, or what toque.toml says",
        ("toque up", "toque up ./model.gguf", "toque up --config prod.toml --listen 127.0.0.1:9000"),
    ),
    "controller": Entry(
        "toque.cli.controller",
        "serve the ModelPools of a Kubernetes namespace, or stand ready to",
        ("toque controller", "toque controller --config /etc/toque/toque.toml"),
    ),
    "replica": Entry(
        "toque.cli.replica",
        "run one replica of a model alone: in a container, or for a service on another machine",
        (
            "toque replica chat --secret file:./secret",
            "toque replica --config /etc/toque/toque.toml --listen 0.0.0.0:8080 --secret file:/run/secrets/replica",
        ),
    ),
    "image": Entry(
        "toque.cli.image",
        "pack a model with its engine and server, or toque itself, into a container image",
        (
            "toque image build chat --tag chat:1",
            "toque image build chat --weights volume --push registry.example:5000/chat:1",
            "toque image build --tag toque:1",
        ),
    ),
    "deploy": Entry(
        "toque.cli.deploy",
        "print what runs toque in a Kubernetes cluster: plain manifests, a Helm chart or its values",
        (
            "toque deploy render --image registry.example/toque:1 | kubectl apply -f -",
            "toque deploy values --config prod.toml | helm install toque ./chart --values -",
            "toque deploy chart --to ./chart",
        ),
    ),
    "check": Entry(
        "toque.cli.check",
        "say whether `toque up` would work here, and what to do if not",
        ("toque check", "toque check --config prod.toml", "toque check --json"),
    ),
    "ready": Entry(
        "toque.cli.ready",
        "ask a service whether it takes requests, or wait until it does",
        ("toque ready", "toque ready http://127.0.0.1:8080 --within 60"),
    ),
    "reload": Entry(
        "toque.cli.reload",
        "have the running service read its settings anew, and show what changes",
        ("toque reload --dry-run", "toque reload"),
    ),
    "ps": Entry("toque.cli.ps", "show pools and replicas of the running service", ("toque ps", "toque ps --json")),
    "why": Entry(
        "toque.cli.why",
        "tell a request's life, or a pool's last scaling decisions",
        ("toque why chat", "toque why req-06e063b9d0960693", "toque why chat --json"),
    ),
    "chat": Entry(
        "toque.cli.chat",
        "talk with a model of the running service",
        ('toque chat "Why is the sky blue?"', "toque chat", "toque chat --model hosted --key-file ./my.key"),
    ),
    "run": Entry(
        "toque.cli.run",
        "run a file of requests through a model, without a server",
        (
            "toque run requests.jsonl -o answers.jsonl",
            "toque run requests.jsonl -o answers.jsonl --model ./model.gguf",
            "toque run texts.jsonl -o vectors.jsonl --endpoint /v1/embeddings --model vectors",
        ),
    ),
    "batch": Entry(
        "toque.cli.batch",
        "have a file of requests run on spare capacity, and fetch what came of it",
        (
            "toque batch submit requests.jsonl --wait",
            "toque batch ls",
            "toque batch download batch-4fjz... -o answers.jsonl",
        ),
    ),
    "replay": Entry(
        "toque.cli.replay",
        "prove that a journal's decisions come out again",
        ("toque up --record-journal day.jsonl", "toque replay day.jsonl"),
    ),
    "calibrate": Entry(
        "toque.cli.calibrate",
        "measure a model on this machine, as a profile for the simulator",
        (
            "toque calibrate",
            "toque calibrate chat -o profile.toml",
            "toque calibrate ./model.gguf --seconds 120 --json",
        ),
    ),
    "simulate": Entry(
        "toque.cli.simulate",
        "say what a trace costs and feels like under each scaling policy, beside the best possible",
        (
            "toque simulate azure-code-2023",
            "toque simulate day.csv.gz --cold-start 30 --policy concurrency hpa --html report.html",
            "toque simulate bursts",
            "toque simulate poisson:rate=5 --policy kpa --assert 'p95_ttft<2s' 'rejected<1%'",
        ),
    ),
    "plan": Entry(
        "toque.cli.plan",
        "find the cheapest settings that keep an objective for a trace's traffic",
        (
            'toque plan day.csv.gz --slo "queue_wait<=2s@99%"',
            "toque plan servegen-day --cold-start 30 --json",
        ),
    ),
    "conformance": Entry(
        "toque.cli.conformance",
        "hold any OpenAI-compatible gateway to its clients' needs: limits, faults, error shapes",
        (
            "toque conformance http://127.0.0.1:8080",
            "toque conformance https://gateway.example/v1 --key file:./my.key --model chat --json",
            "toque conformance http://127.0.0.1:8080 --only H01 H02 --metrics http://127.0.0.1:8081/metrics",
        ),
    ),
    "key": Entry(
        "toque.cli.key",
        "make, list, revoke and rotate API keys",
        (
            "toque key create alice",
            "toque key create ci --model chat --limit requests_per_minute=60 --expires 90d > ci.key",
            "toque key ls",
            "toque key rotate ci --grace 7d > ci.key",
            "toque key revoke alice",
        ),
    ),
    "config": Entry(
        "toque.cli.config",
        "show the settings in force and where each came from",
        ("toque config show", "toque config show --origin", "TOQUE_LISTEN=127.0.0.1:9000 toque config show --origin"),
    ),
    "version": Entry("toque.cli.version", "print versions", ("toque version", "toque version --json")),
}

_FIRST = ("toque up", 'toque chat "Why is the sky blue?"', "toque up ./model.gguf", "toque ps", "toque why chat")


class _Help(argparse.RawDescriptionHelpFormatter):
    """The same text on every terminal, so that the reference page is what people see."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=HELP_WIDTH)
        self._action_max_length = 4 + max(map(len, VERBS))  # argparse forgets that verbs are indented twice


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; exits with the help text or a usage error as argparse does. `--debug` may stand anywhere."""
    given = [word for word in argv if word in VERBS][:1]
    parser, _ = make_parsers(given)
    end = argv.index("--") if "--" in argv else len(argv)
    words = [word for word in argv[:end] if word != DEBUG]
    return parser.parse_args([*[DEBUG] * (len(words) < end), *words, *argv[end:]])


def make_parsers(
    complete: Sequence[str] = tuple(VERBS),
) -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    """Make the parser of all, and that of each verb; only the verbs in `complete` get their arguments."""
    parser = argparse.ArgumentParser(
        "toque",
        description=_described("Serve models on this machine and keep them serving under real traffic.", _FIRST),
        epilog="exit status:\n" + "\n".join(f"  {code.value:<4} {text}" for code, text in MEANINGS.items()),
        formatter_class=_Help,
        allow_abbrev=False,
    )
    parser.add_argument(DEBUG, action="store_true", help="show where an error came from")
    choice = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    parsers = {
        name: choice.add_parser(
            name,
            help=entry.summary,
            description=_described(f"{entry.summary[:1].upper()}{entry.summary[1:]}.", entry.examples),
            formatter_class=_Help,
            allow_abbrev=False,
        )
        for name, entry in VERBS.items()
    }
    for name in complete:
        load_verb(name).add_arguments(parsers[name])
    return parser, parsers


def load_verb(name: str) -> Verb:
    """Import the module of a verb."""
    return cast(Verb, import_module(VERBS[name].module))


def add_json(parser: argparse.ArgumentParser) -> None:
    """Declare `--json`, the same for every verb that prints something."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def add_config(parser: argparse.ArgumentParser) -> None:
    """Declare `--config`, the same for every verb that reads settings."""
    parser.add_argument(
        "--config", metavar="FILE", default="", help="settings file (default: $TOQUE_CONFIG, or ./toque.toml if there)"
    )


def _described(summary: str, examples: Sequence[str]) -> str:
    return summary + "\n\nexamples:\n" + "\n".join(f"  {example}" for example in examples)
