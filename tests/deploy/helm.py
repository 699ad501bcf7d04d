"""helm, where it is: named by TOQUE_HELM, on PATH, or fetched by `.ci/helm`. Tests that need it are skipped with a word elsewhere."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.house.source import ROOT

CHART = ROOT / "charts" / "toque"
CALL_S_MAX = 120


def find(program: str) -> Path:
    """Return helm or kubectl; kubectl lies beside helm where `.ci/helm` put them. Skips the test without it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "toque" / "helm"
    named = os.environ.get("TOQUE_HELM", "")
    places = [Path(named) if program == "helm" else Path(named).parent / program] if named else []
    places += [cache / program] if program == "kubectl" else []
    places += [Path(found)] if (found := shutil.which(program)) else []
    places += [cache / program]
    for place in places:
        if os.access(place, os.X_OK):
            return place
    pytest.skip(f"{program} is not here: `.ci/helm` fetches it")


@dataclass(frozen=True)
class Program:
    """helm or kubectl, with a home of its own."""

    path: Path
    home: Path
    words: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def tried(self, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run it and return what came of it."""
        own = {"PATH": os.environ["PATH"], "HOME": str(self.home), **self.environment}
        argv = [str(self.path), *self.words, *words]
        return subprocess.run(
            argv, input=typed, capture_output=True, text=True, env=own, timeout=CALL_S_MAX, check=False
        )

    def run(self, *words: str, typed: str = "") -> str:
        """Run it, and return what it printed. Fails the test where it fails."""
        done = self.tried(*words, typed=typed)
        assert done.returncode == 0, done.stderr
        return done.stdout


def values_file(folder: Path, values: Mapping[str, Any]) -> str:
    """Write values for `--values`; JSON is YAML too."""
    path = folder / "values.json"
    path.write_text(json.dumps(values))
    return str(path)
