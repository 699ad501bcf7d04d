"""The repository as a stranger gets it: no trace of the machine it was made on, a set-up that is pinned, links that lead somewhere."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.house.source import ROOT, hold, imports, modules, tracked

PRIVATE_PATHS = re.compile(r"/(?:root|home/[a-z]+|Users/[a-z]+|work|opt|tmp/try)/")
REGISTRIES = ("pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com", "crates" + ".io")
FILE_BYTES_MAX = 512 * 1024
CORE_DEPENDENCIES_MAX = 12


def _texts() -> Iterator[tuple[str, str]]:
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content:
            yield path.relative_to(ROOT).as_posix(), content.decode("utf-8")


def _pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text("utf-8").splitlines()
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", "\n".join(lines), re.MULTILINE))


def _project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    hold("private-path", (f"{place}:{path}" for place, text in _texts() for path in PRIVATE_PATHS.findall(text)))


def test_no_file_names_the_host_of_a_package_registry() -> None:
    hold("registry", (f"{place}:{host}" for place, text in _texts() for host in REGISTRIES if host in text))


def test_no_file_is_large() -> None:
    large = (path for path in tracked() if path.stat().st_size > FILE_BYTES_MAX)
    hold("file-size", (path.relative_to(ROOT).as_posix() for path in large))


IMAGES = "src/toque/images"


@pytest.mark.parametrize(
    "name",
    ["requirements/serve.txt", "requirements/dev.txt", f"{IMAGES}/requirements.txt", f"{IMAGES}/service.txt"],
)
def test_requirements_are_exact_pins_with_hashes_and_nothing_else(name: str) -> None:
    lines = (ROOT / name).read_text("utf-8").replace("\\\n", " ").splitlines()
    pin = re.compile(r"[a-z0-9-]+==\S+( ; [^#]+?)?( +--hash=sha256:[0-9a-f]{64})+")
    assert [line for line in lines if not pin.fullmatch(line.strip())] == []


def test_what_serves_is_what_is_tested() -> None:
    dev = _pins("requirements/dev.txt")
    for place in ("requirements/serve.txt", f"{IMAGES}/requirements.txt", f"{IMAGES}/service.txt"):
        pins = _pins(place)
        assert {name: dev.get(name) for name in pins} == pins


def test_the_image_of_toque_has_what_every_extra_asks_for() -> None:
    project = _project()["project"]
    assert isinstance(project, dict)
    asked = {re.split(r"[^a-z-]", text)[0] for extra in project["optional-dependencies"].values() for text in extra}
    assert asked <= _pins(f"{IMAGES}/service.txt").keys()


def test_the_core_needs_few_packages_and_every_one_of_them_is_used() -> None:
    project = _project()["project"]
    assert isinstance(project, dict)
    names = {re.split(r"[^a-z-]", text)[0].replace("-", "_") for text in project["dependencies"]}
    assert len(names) <= CORE_DEPENDENCIES_MAX
    used = {name.partition(".")[0] for module in modules("src") for name in imports(module)}
    hold("unused-dependency", names - used)


def test_every_link_between_pages_leads_somewhere() -> None:
    def dead(page: Path) -> Iterator[str]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
            if ":" not in target and not (page.parent / target).exists():
                yield f"{page.relative_to(ROOT).as_posix()}:{target}"

    hold("link", (link for page in tracked() if page.suffix == ".md" for link in dead(page)))


def test_the_index_of_the_docs_leads_to_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    pages = (path.relative_to(ROOT / "docs") for path in tracked() if path.is_relative_to(ROOT / "docs"))
    told = (page for page in pages if page.suffix == ".md" and page.parts[0] not in {"adr", "README.md"})
    hold("index", (page.as_posix() for page in told if f"]({page.as_posix()})" not in index))
