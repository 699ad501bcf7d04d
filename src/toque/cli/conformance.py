"""`toque conformance`: hold any OpenAI-compatible gateway to what a client, a stranger and an attacker need of it.

Law: it needs a URL and nothing else; the key comes by reference, never by itself.
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from toque.cli.exits import Exit
from toque.cli.parser import add_json
from toque.cli.terminal import Terminal
from toque.conformance.case import Case, Result, Verdict
from toque.conformance.kit import all_cases, find_model, run_cases
from toque.conformance.target import Target, target_at
from toque.model.agent_spec import Secret
from toque.model.errors import CallerError

KEY_VARIABLE = "TOQUE_KEY"
_MARKS = {Verdict.PASS: ("pass", "green"), Verdict.FAIL: ("FAIL", "red"), Verdict.SKIPPED: ("skip", "yellow")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("url", metavar="URL", nargs="?", default="", help="the gateway, as http://HOST:PORT[/v1]")
    parser.add_argument(
        "--key",
        metavar="REF",
        default="",
        help=f"where your key is: env:NAME or file:PATH (default: ${KEY_VARIABLE} if set)",
    )
    parser.add_argument("--model", metavar="M", default="", help="which model (default: the first one listed)")
    parser.add_argument(
        "--metrics",
        metavar="URL",
        default="",
        help="counters, of the gateway or of what is behind it, to see come to zero",
    )
    parser.add_argument("--only", metavar="ID", default=[], nargs="+", help="cases whose id begins so (such as H01)")
    parser.add_argument("--quick", action="store_true", help="leave out the cases that wait")
    parser.add_argument("--list", action="store_true", help="print what is promised, and try nothing")
    add_json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Run the cases, print each, and fail if one failed."""
    chosen = _chosen(args)
    if args.list:
        _list(chosen, terminal, is_json=args.json)
        return Exit.DONE
    if not args.url:
        raise CallerError("Name the gateway: toque conformance http://127.0.0.1:8080")
    target = target_at(args.url, key=_key(args.key, terminal), model=args.model, metrics=args.metrics)
    results = asyncio.run(_results(target, chosen, terminal, is_json=args.json))
    count = Counter(result.verdict for result in results)
    if args.json:
        order = {case.id: place for place, case in enumerate(chosen)}
        rows = [asdict(result) for result in sorted(results, key=lambda result: order[result.id])]
        terminal.show_json({"url": args.url, "count": {verdict: count[verdict] for verdict in Verdict}, "cases": rows})
    else:
        terminal.show(", ".join(f"{count[verdict]} {verdict}" for verdict in Verdict))
    return Exit.FAILED if count[Verdict.FAIL] else Exit.DONE


def _chosen(args: argparse.Namespace) -> Sequence[Case]:
    prefixes = tuple(args.only) or ("",)
    chosen = [case for case in all_cases() if case.id.startswith(prefixes) and not (args.quick and case.waits_s)]
    if not chosen:
        raise CallerError("No case begins so; `toque conformance --list` names them.")
    return chosen


def _list(chosen: Sequence[Case], terminal: Terminal, *, is_json: bool) -> None:
    if is_json:
        terminal.show_json({"cases": [{"id": case.id, "promise": case.promise} for case in chosen]})
        return
    for case in chosen:
        terminal.show(f"{case.id:<34} {case.promise}")


async def _results(target: Target, chosen: Sequence[Case], terminal: Terminal, *, is_json: bool) -> list[Result]:
    results = []
    async for result in run_cases(await find_model(target), chosen):
        results.append(result)
        if not is_json:
            _show(result, terminal)
    return results


def _show(result: Result, terminal: Terminal) -> None:
    mark, style = _MARKS[result.verdict]
    seen = terminal.harmless(result.seen)
    terminal.show(f"{terminal.paint(mark, style, terminal.out)}  {result.id:<34} {seen}")
    if result.verdict is Verdict.FAIL:
        terminal.show(f"      promised: {result.promise}")


def _key(reference: str, terminal: Terminal) -> Secret | None:
    if not reference and KEY_VARIABLE not in terminal.environment:
        return None
    from toque.config.secret import read_secret  # noqa: PLC0415  # only who has a key needs it

    return read_secret(reference or f"env:{KEY_VARIABLE}", terminal.environment)
