"""The list of what is inside (SPDX 2.3, JSON): Debian's packages, Python's, and the model with its digest.

Law: it is read from what was packed, never from what was asked for, and says nothing of where or when it was built.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

RECORDS = "./var/lib/dpkg/status.d/"
_UNKNOWN = "NOASSERTION"


@dataclass(frozen=True, slots=True)
class Part:
    """One thing inside: `locator` is its package URL, `sha256` its digest where it is one file."""

    name: str
    version: str
    locator: str
    licence: str = _UNKNOWN
    sha256: str = ""


def debian_parts(root: Path, suite: str) -> Iterator[Part]:
    """Read the records in a root's archive."""
    with tarfile.open(root) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            file = archive.extractfile(member) if member.name.startswith(RECORDS) and member.isfile() else None
            if file is not None:
                record = _headers(file.read().decode())
                name, version, machine = (str(record[field]) for field in ("Package", "Version", "Architecture"))
                yield Part(name, version, f"pkg:deb/debian/{name}@{version}?arch={machine}&distro={suite}")


def python_parts(packages: Path) -> Iterator[Part]:
    """Read what the packages say of themselves."""
    for metadata in sorted(packages.glob("*.dist-info/METADATA")):
        record = _headers(metadata.read_text("utf-8"))
        name, version = str(record["Name"]), str(record["Version"])
        yield Part(name, version, f"pkg:pypi/{name.lower()}@{version}", str(record["License-Expression"] or _UNKNOWN))


def file_part(path: Path) -> Part:
    """Describe a model by its name and its digest."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Part(path.name, f"sha256:{digest}", f"pkg:generic/{path.name}?checksum=sha256:{digest}", sha256=digest)


def document(title: str, parts: list[Part], epoch_s: int) -> str:
    """Write the list. Its own name ends in a digest of what it lists, so that equal lists have equal names."""
    listed = [_package(number, part) for number, part in enumerate(parts, 1)]
    digest = hashlib.sha256(json.dumps(listed).encode()).hexdigest()
    written = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": title,
        "documentNamespace": f"https://spdx.org/spdxdocs/toque-{digest}",
        "creationInfo": {
            "created": datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Tool: toque"],
        },
        "packages": listed,
        "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": one["SPDXID"]}
            for one in listed
        ],
    }
    return json.dumps(written, indent=1, ensure_ascii=False) + "\n"


def _package(number: int, part: Part) -> dict[str, object]:
    checksums = [{"algorithm": "SHA256", "checksumValue": part.sha256}] if part.sha256 else []
    reference = {
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": part.locator,
    }
    return {
        "SPDXID": f"SPDXRef-{number}",
        "name": part.name,
        "versionInfo": part.version,
        "downloadLocation": _UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": _UNKNOWN,
        "licenseDeclared": part.licence,
        "copyrightText": _UNKNOWN,
        "checksums": checksums,
        "externalRefs": [reference],
    }


def _headers(text: str) -> Message:
    return HeaderParser().parsestr(text)
