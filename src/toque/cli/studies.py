"""What `toque simulate` compares: policies in one pool, or settings files side by side.

Law: each settings file is a study of its own, measured against its own best fixed size, plan and bound.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toque.cli.question import Settings, read_settings
from toque.cli.terminal import Terminal
from toque.core.scaling import POLICIES
from toque.model.errors import ConfigError
from toque.sim.study import FIXED


@dataclass(frozen=True, slots=True)
class Contender:
    """A policy to run, under a name of its own."""

    name: str
    policy: str


@dataclass(frozen=True, slots=True)
class Named:
    """One study: its contenders, in the pool of a settings file or (None) in the neutral one."""

    title: str
    settings: Settings | None
    contenders: Sequence[Contender]

    @property
    def slots_from(self) -> str:
        """Where the slots of a replica come from."""
        return self.settings.path if self.settings and self.settings.has_slots else "the profile"


def read_studies(args: argparse.Namespace, terminal: Terminal) -> list[Named]:
    """1. settings files to compare: each with its own policy; 2. one file: its policy, or those named in its pool;
    3. none: those named, or all. Raises `ConfigError`."""
    if args.compare:  # 1
        if args.config or args.policy:
            raise ConfigError("--compare takes policies from its files", fix="leave --config and --policy away")
        files = [read_settings(path, args.model, terminal) for path in args.compare]
        titles = [Path(one.path).stem for one in files]
        return [
            Named(title, one, [Contender(title, one.pool.scaling.policy)])
            for title, one in zip(titles, files, strict=True)
        ]
    if args.config:  # 2
        one = read_settings(args.config, args.model, terminal)
        return [Named("", one, [Contender(name, name) for name in args.policy or [one.pool.scaling.policy]])]
    names = args.policy or [name for name in POLICIES if name != FIXED]
    return [Named("", None, [Contender(name, name) for name in names])]  # 3
