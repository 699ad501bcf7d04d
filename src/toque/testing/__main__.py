"""The fake engine and the fault proxy as processes: `python -m toque.testing engine|proxy ...`.

Law: the first line of standard output is JSON with the `url`; SIGTERM ends it, and nothing else needs ending.
"""

import argparse
import asyncio
import json
import signal
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec

from toque.agents.fake import FakeAgent
from toque.testing.answers import Answer, Ending
from toque.testing.engine import FakeEngine
from toque.testing.faults import At, Corrupt, Cut, Fault, Faults, Kill, Seeded, Slow, Split, Stop
from toque.testing.proxy import FaultProxy

FAULTS = {"stop": Stop, "cut": Cut, "kill": Kill, "corrupt": Corrupt, "split": Split}


class Scripted(msgspec.Struct, forbid_unknown_fields=True):
    """One row of a script: an `Answer` in JSON, for `times` requests."""

    times: int = 1
    status: int = 200
    pieces: list[str] = []
    fields: dict[str, str] = {}
    content_type: str = ""
    delay_s: float = 0.0
    gap_s: float = 0.0
    ending: Ending = Ending.WHOLE

    def answers(self) -> list[Answer]:
        """Return it as often as it is wanted."""
        pieces = [piece.encode() for piece in self.pieces]
        answer = Answer(
            self.status, pieces, self.fields, self.content_type, self.delay_s, gap_s=self.gap_s, ending=self.ending
        )
        return [answer] * self.times


def main() -> None:
    """Run what the command line asks for, until SIGTERM or Ctrl-C."""
    args = _parser().parse_args()
    asyncio.run(_serve(_engine(args) if args.what == "engine" else _proxy(args)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m toque.testing", description=__doc__.partition("\n")[0])
    what = parser.add_subparsers(dest="what", required=True)
    engine = what.add_parser("engine", help="an OpenAI-compatible server that answers what a script says")
    engine.add_argument("--script", metavar="FILE", help="a JSON list of answers; after them it answers as it should")
    engine.add_argument("--model", default="chat")
    engine.add_argument("--tokens", type=int, default=16, help="of an answer")
    engine.add_argument("--ttft", type=float, default=0.0, help="seconds before the first token")
    engine.add_argument("--gap", type=float, default=0.0, help="seconds between tokens")
    proxy = what.add_parser("proxy", help="a TCP proxy with faults")
    proxy.add_argument("--to", metavar="HOST:PORT", required=True)
    proxy.add_argument("--fault", choices=(*FAULTS, "slow"), help="what happens to each answer")
    proxy.add_argument("--after", type=int, default=0, help="bytes of the answer before it happens")
    proxy.add_argument("--bytes-per-s", type=float, default=1024.0, help="of a slow answer")
    proxy.add_argument("--ratio", type=float, default=1.0, help="of the connections; below 1 their bytes are drawn too")
    proxy.add_argument("--seed", type=int, default=0)
    for each in (engine, proxy):
        each.add_argument("--port", type=int, default=0, help="of loopback (default: any free one)")
    return parser


def _engine(args: argparse.Namespace) -> FakeEngine:
    rows = msgspec.json.decode(Path(args.script).read_bytes(), type=list[Scripted]) if args.script else []
    script = [answer for row in rows for answer in row.answers()]
    agent = FakeAgent(ttft_s=args.ttft, token_gap_s=args.gap, tokens=args.tokens)
    return FakeEngine(script, agent=agent, model=args.model, port=args.port)


def _proxy(args: argparse.Namespace) -> FaultProxy:
    host, _, port = args.to.rpartition(":")
    if not args.fault:
        return FaultProxy(host, int(port), listen_port=args.port)
    at = At(args.after)
    fault: Fault = Slow(args.bytes_per_s, at) if args.fault == "slow" else FAULTS[args.fault](at=at)
    drawn = Seeded(args.seed, args.ratio, (fault,))
    plan = (lambda _: Faults(to_client=(fault,))) if args.ratio >= 1 else drawn
    return FaultProxy(host, int(port), plan, listen_port=args.port)


async def _serve(service: AbstractAsyncContextManager[FakeEngine] | AbstractAsyncContextManager[FaultProxy]) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with service as running:
        sys.stdout.write(json.dumps({"url": running.url}) + "\n")
        sys.stdout.flush()
        await stopped.wait()


if __name__ == "__main__":
    main()
