"""What the gateway costs: one gateway at a time on one core, mock and load on another, interleaved with its peers.

python bench/gateway/run.py [--quick | --medium] [--peers nginx,vllm-router,sglang-router,litellm] [--json FILE]

Peers that are missing are installed into .bench/. Needs Linux, a C compiler and two cores.
"""

import argparse
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import install
import report
from cases import CASES, QUICK
from contender import Contender, NotReadyError
from contenders import ALWAYS, PEERS
from measure import rounds
from rig import Rig, RigError, build

ROUNDS, MEASURED_S = 5, 2.0
QUICK_ROUNDS, QUICK_MEASURED_S = 2, 1.0
MEDIUM_ROUNDS, MEDIUM_PEERS = 3, ("nginx", "vllm-router")


def main() -> int:
    """Measure and print; returns the exit status."""
    args = _arguments()
    try:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            return _measure(args, Path(folder), stack)
    except RigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="three cases, short; no peer that must be installed")
    size.add_argument(
        "--medium", action="store_true", help="all cases, short, beside nginx and vllm-router (5 minutes)"
    )
    parser.add_argument("--peers", metavar="NAMES", help="which to compare with, by commas (none: an empty text)")
    parser.add_argument("--cases", metavar="TEXT", default="", help="only cases whose name holds this text")
    parser.add_argument("--rounds", metavar="N", type=int, default=0, help=f"rounds (default {ROUNDS})")
    parser.add_argument("--seconds", metavar="S", type=float, default=0, help=f"of each load (default {MEASURED_S:g})")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every figure of every round")
    return parser.parse_args()


def _measure(args: argparse.Namespace, folder: Path, stack: ExitStack) -> int:
    gateway_core, rig_core = cores()
    install.FOLDER.mkdir(exist_ok=True)
    rig = stack.enter_context(Rig(build(install.FOLDER), rig_core, folder))
    contenders, skipped = _started(_wanted(args), rig, gateway_core, folder, stack)
    cases = [case for case in (QUICK if args.quick else CASES) if args.cases in case.name]
    order = (_rounds(args), _seconds(args))
    found = rounds(rig, contenders, cases, order, _tell)
    _tell("")
    print(report.render(found, contenders))
    if args.json:
        args.json.write_text(json.dumps(report.as_json(found, contenders, skipped), indent=1) + "\n")
    return 1 if any(one.figures.errors for one in found if one.contender == report.US) else 0


def cores() -> tuple[int, int]:
    """One for the gateway, one for the rig. Raises `RigError`."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise RigError("The benchmark needs two cores: one for the gateway, one for mock and load.")
    return cores[0], cores[1]


def _wanted(args: argparse.Namespace) -> list[Contender]:
    names = args.peers.split(",") if args.peers is not None else list(PEERS)
    if args.quick and args.peers is None:
        names = ["nginx"] if install.found_nginx() else []
    elif args.medium and args.peers is None:
        names = list(MEDIUM_PEERS)
    unknown = [name for name in names if name and name not in PEERS]
    if unknown:
        raise RigError(f"There is no peer {', '.join(unknown)}; there are {', '.join(PEERS)}.")
    return [make() for make in (*ALWAYS, *(PEERS[name] for name in names if name))]


def _started(
    wanted: list[Contender], rig: Rig, core: int, folder: Path, stack: ExitStack
) -> tuple[list[Contender], dict[str, str]]:
    """Start all; a peer that cannot be had or does not start is skipped with a word, toque is not."""
    started, skipped = [], {}
    for contender in wanted:
        stack.callback(contender.stop)
        try:
            contender.start(folder / contender.name, rig.ports, core)
        except (install.NotHadError, NotReadyError) as error:
            if contender.name == report.US:
                raise RigError(str(error)) from error
            contender.stop()
            skipped[contender.name] = str(error)
            print(f"skipped {contender.name}: {error}", file=sys.stderr)
        else:
            started.append(contender)
    return started, skipped


def _rounds(args: argparse.Namespace) -> int:
    rounds_wanted: int = args.rounds or (QUICK_ROUNDS if args.quick else MEDIUM_ROUNDS if args.medium else ROUNDS)
    return rounds_wanted


def _seconds(args: argparse.Namespace) -> float:
    seconds: float = args.seconds or (QUICK_MEASURED_S if args.quick or args.medium else MEASURED_S)
    return seconds


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
