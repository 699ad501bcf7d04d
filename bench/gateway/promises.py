"""What was found, as the tables of docs/explanation/conformance.md."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

Found: TypeAlias = list[dict[str, str]]
"""The cases of one subject as the kit tells them: id, promise, verdict, seen."""

_MARKS = {"pass": "✓", "fail": "✗", "skipped": "n/a"}


def render(found: Mapping[str, Found]) -> str:
    """Kept by family, then every case that not everybody kept, then what was seen where it was not."""
    return "\n".join([*_families(found), "", *_cases(found), "", *_seen(found)])


def _families(found: Mapping[str, Found]) -> Iterator[str]:
    yield from _head("Family", list(found))
    names = sorted({case["id"].split("-")[0] for cases in found.values() for case in cases})
    for family in [*names, ""]:
        rows = [
            [case for case in cases if case["id"].split("-")[0] == family or not family] for cases in found.values()
        ]
        yield _row(family or "**all**", [_kept(row) for row in rows])


def _kept(cases: Found) -> str:
    verdicts = [case["verdict"] for case in cases if case["verdict"] != "skipped"]
    return f"{verdicts.count('pass')} of {len(verdicts)}" if verdicts else "n/a"


def _cases(found: Mapping[str, Found]) -> Iterator[str]:
    yield from _head("Case", list(found))
    by_id = {name: {case["id"]: case["verdict"] for case in cases} for name, cases in found.items()}
    for case in next(iter(found.values())):
        verdicts = [by_id[name].get(case["id"], "skipped") for name in found]
        if "fail" in verdicts:
            yield _row(f"`{case['id']}`", [_MARKS[verdict] for verdict in verdicts])


def _seen(found: Mapping[str, Found]) -> Iterator[str]:
    for name, cases in found.items():
        failed = [case for case in cases if case["verdict"] == "fail"]
        if failed:
            yield f"**{name}** " + "; ".join(f"`{case['id']}` {case['seen']}" for case in failed) + ".\n"


def _head(first: str, names: Sequence[str]) -> Iterator[str]:
    yield _row(first, names)
    yield "|---|" + "---|" * len(names)


def _row(first: str, cells: Sequence[str]) -> str:
    return f"| {first} | " + " | ".join(cells) + " |"
