"""Compiles what runs for each request with mypyc, from the very same sources: docs/adr/0025.

Law: without it everything works, only slower. A compiled module lies beside the source it was made from, never in `src`, where the next
edit would make it stale.

    python hatch_build.py FOLDER              a copy of the package into FOLDER, compiled; what is there already and current stays
    TOQUE_COMPILE=1 python -m hatchling build    a wheel for this platform and interpreter
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # `./dev compiled` needs none
    BuildHookInterface = object

ROOT = Path(__file__).resolve().parent
SOURCE = ROOT / "src"
SWITCH = "TOQUE_COMPILE"
TOOLS = ("mypy", "setuptools")
"""What compiling needs beside a C compiler."""

HOT = {
    "core": "admission appeal batch_share breaker class_line crowd exits fair fleet forecast gate hedge journey lifecycle outlook"
    " placing pool queue register replica retry roster scaler slots spending standing supply trust window routing/least_loaded",
    "gateway": "addresses attempt attempts auth batch_relay door errand events familiar identity inside openai outlet race rank relay repeats"
    " server surroundings telling told upstreams",
    "records": "access access_line metrics recent served",
    "runtime": "actuator controller",
    "wire": "client connection connections familiar incoming reader request server",
}
"""By package, the modules that a request or a chunk passes. A module of Protocols alone gains nothing and would bar others from them."""
OPEN = {"gateway/attempt": "Attempt", "records/metrics": "Metrics", "wire/client": "Call", "wire/incoming": "Incoming"}
"""Classes that others extend in Python: mypyc has to be told, and only the copy it compiles says so."""
_FLAGS = {"CFLAGS": "-fno-semantic-interposition", "LDFLAGS": "-Wl,-Bsymbolic"}
"""Nobody puts other functions in the place of ours: calls between modules go straight."""
_OPENED = """from typing import TYPE_CHECKING

if TYPE_CHECKING:  # read by the compiler alone: what it makes needs no package of its
    from mypy_extensions import mypyc_attr


@mypyc_attr(allow_interpreted_subclasses=True)
class {0}"""


class CustomBuildHook(BuildHookInterface):
    """Puts the compiled modules into a wheel, where TOQUE_COMPILE=1 asks for them."""

    def dependencies(self) -> list[str]:
        """What a build in an environment of its own needs: to check types, mypyc must see what is imported."""
        return [*TOOLS, *self.metadata.core.dependencies] if _is_wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and take in what came of it."""
        if version == "editable" or not _is_wanted():
            return
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        compile_into(folder)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"] |= {str(made): str(made.relative_to(folder)) for made in _made(folder)}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()


def compile_into(folder: Path) -> None:
    """Copy the package into a folder and compile it there. Raises `CalledProcessError`; the compiler has said why."""
    shutil.copytree(SOURCE / "toque", folder / "toque", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    originals = {}
    for name, opened in OPEN.items():
        path = folder / "toque" / f"{name}.py"
        originals[path] = text = path.read_text("utf-8")
        path.write_text(
            re.sub(rf"^class {opened}\b", _OPENED.format(opened), text, count=1, flags=re.MULTILINE), "utf-8"
        )
    command = [sys.executable, __file__, "--here", *hot()]
    subprocess.run(command, cwd=folder, env=os.environ | _FLAGS, check=True, stdout=subprocess.DEVNULL)
    for path, text in originals.items():
        path.write_text(text, "utf-8")
    shutil.rmtree(folder / "build")


def _compile_here(files: list[str]) -> None:
    """Compile modules of the working directory in place."""
    from mypyc.build import mypycify  # noqa: PLC0415 - only who compiles has it
    from setuptools import setup  # noqa: PLC0415

    extensions = mypycify(
        ["--config-file", str(ROOT / "mypy.ini"), *files], opt_level="3", debug_level="0", group_name="toque"
    )
    setup(name="toque", packages=[], ext_modules=extensions, script_args=["--quiet", "build_ext", "--inplace"])


def hot() -> list[str]:
    """Return the modules that are compiled, as paths below `src`."""
    return [f"toque/{package}/{name}.py" for package, names in HOT.items() for name in names.split()]


def _made(folder: Path) -> Iterable[Path]:
    return folder.rglob(f"*{sysconfig.get_config_var('EXT_SUFFIX')}")


def _is_wanted() -> bool:
    return os.environ.get(SWITCH, "") not in ("", "0")


def _state() -> str:
    """Changes with everything that a compiled copy is made from."""
    sources = sorted(path for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    told = hashlib.sha256(sys.version.encode() + Path(__file__).read_bytes())
    for path in sources:
        told.update(path.relative_to(SOURCE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return told.hexdigest()


def _main(target: Path) -> None:
    """Keep the copy in `target` as it is if it is current, else make it anew."""
    state, stamp = _state(), target / "state"
    if stamp.exists() and stamp.read_text("utf-8") == state:
        return
    shutil.rmtree(target, ignore_errors=True)
    print(f"compiling {len(hot())} modules into {target} (a minute or two)", file=sys.stderr)
    compile_into(target)
    stamp.write_text(state, "utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "--here":
        _compile_here(sys.argv[2:])
    else:
        _main(Path(sys.argv[1]).absolute())
