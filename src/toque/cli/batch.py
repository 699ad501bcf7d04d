"""`toque batch`: files of requests for the running service, from upload to download.

Law: it is a client like any other: it sees only what the API gives.
"""

import argparse
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

from toque.cli.api import add_api, api_service
from toque.cli.call import Service
from toque.cli.exits import Exit
from toque.cli.layout import columns
from toque.cli.parser import add_json
from toque.cli.progress import LiveBars
from toque.cli.terminal import Terminal
from toque.model.errors import CallerError, ConfigError

LOOK_EACH_S = 1.0
"""Between looks at a batch that is waited for."""
PIECE_BYTES = 2**18
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_TITLES = ("BATCH", "STATUS", "DONE", "FAILED", "TOTAL", "ENDPOINT")
_Json: TypeAlias = Mapping[str, Any]  # what the API answers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    acts = parser.add_subparsers(dest="act", metavar="ACT", required=True, title="acts")
    for name, summary, declare in (
        ("submit", "upload FILE and have it run", _add_submit),
        ("ls", "list your batches, newest first", _add_nothing),
        ("show", "show one batch", _add_name),
        ("cancel", "stop a batch; what is done stays", _add_name),
        ("download", "write the answers of a batch, in the order of its requests", _add_download),
    ):
        act = acts.add_parser(name, help=summary, description=f"{summary[:1].upper()}{summary[1:]}.")
        declare(act)
        add_api(act)
        add_json(act)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Do one act."""
    service = api_service(args, terminal)
    acts: Mapping[str, Callable[[argparse.Namespace, Service, Terminal], int]] = {
        "submit": _submit,
        "ls": _list,
        "show": _show,
        "cancel": _cancel,
        "download": _download,
    }
    return acts[args.act](args, service, terminal)


def _add_nothing(parser: argparse.ArgumentParser) -> None:
    pass


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("batch", metavar="BATCH", help="its name, as `submit` and `ls` print it")


def _add_submit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="JSONL as OpenAI's batches have it")
    parser.add_argument(
        "--endpoint", metavar="PATH", default="/v1/chat/completions", help="(default: /v1/chat/completions)"
    )
    parser.add_argument("--window", metavar="W", default="24h", help="time it may take: 1h, 4h, 24h, 7d (default: 24h)")
    parser.add_argument("--wait", action="store_true", help="wait until it has ended")


def _add_download(parser: argparse.ArgumentParser) -> None:
    _add_name(parser)
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="where to (default: standard output)")
    parser.add_argument("--errors", action="store_true", help="the requests that failed instead")


def _submit(args: argparse.Namespace, service: Service, terminal: Terminal) -> int:
    bars = LiveBars(terminal) if terminal.is_lively(terminal.err) else None
    try:
        uploaded = _upload(args.file, service, bars)
        order = {"input_file_id": uploaded["id"], "endpoint": args.endpoint, "completion_window": args.window}
        batch: _Json = service.post("/v1/batches", order)
        if args.wait:
            (bars or terminal).say(f"{batch['id']}: running; Ctrl-C leaves it running")
            batch = _wait(batch, service, bars)
    finally:
        if bars is not None:
            bars.close()
    return _tell(batch, args, terminal)


def _upload(path: Path, service: Service, bars: LiveBars | None) -> _Json:
    """Send a file as it is read."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            before, after, content_type = _form(path.name)

            def pieces() -> Iterator[bytes]:
                yield before
                sent = 0
                while piece := file.read(PIECE_BYTES):
                    yield piece
                    sent += len(piece)
                    if bars is not None:
                        bars.move(f"uploading {path.name}", sent / size)
                yield after

            return service.upload("/v1/files", pieces(), len(before) + size + len(after), content_type)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", fix="name a file of JSON lines") from error
    finally:
        if bars is not None:
            bars.end(f"uploading {path.name}")


def _form(filename: str) -> tuple[bytes, bytes, str]:
    """Write what stands before and behind the file in a form with its purpose; with them the form's content type."""
    boundary = f"toque-{secrets.token_hex(16)}"
    safe = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in filename)
    head = (
        f'--{boundary}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="{safe}"\r\n'
        "content-type: application/jsonl\r\n\r\n"
    )
    return head.encode(), f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _wait(batch: _Json, service: Service, bars: LiveBars | None) -> _Json:
    """Look until it has ended, with a bar where there is a terminal for one."""
    while batch["status"] not in ENDED:
        time.sleep(LOOK_EACH_S)
        batch = service.get(f"/v1/batches/{batch['id']}")
        counts: _Json = cast(_Json, batch["request_counts"])
        if bars is not None and counts["total"]:
            bars.move(str(batch["id"]), min(0.99, (counts["completed"] + counts["failed"]) / counts["total"]))
    return batch


def _list(args: argparse.Namespace, service: Service, terminal: Terminal) -> int:
    page = service.get("/v1/batches?limit=100")
    if args.json:
        terminal.show_json(page)
        return Exit.DONE
    for line in columns([_TITLES, *map(_cells, cast(Sequence[_Json], page["data"]))]):
        terminal.show(line)
    if page["has_more"]:
        terminal.say("(there are more; only the newest 100 are shown)")
    return Exit.DONE


def _cells(batch: _Json) -> tuple[str, ...]:
    counts = batch["request_counts"]
    numbers = (str(counts[name]) for name in ("completed", "failed", "total"))
    return (batch["id"], batch["status"], *numbers, batch["endpoint"])


def _show(args: argparse.Namespace, service: Service, terminal: Terminal) -> int:
    return _tell(service.get(f"/v1/batches/{args.batch}"), args, terminal)


def _cancel(args: argparse.Namespace, service: Service, terminal: Terminal) -> int:
    return _tell(service.post(f"/v1/batches/{args.batch}/cancel"), args, terminal)


def _tell(batch: _Json, args: argparse.Namespace, terminal: Terminal) -> int:
    """Print a batch and, if it was refused, why."""
    if args.json:
        terminal.show_json(batch)
    else:
        for line in columns([_TITLES, _cells(batch)]):
            terminal.show(line)
        for error in (batch["errors"] or {}).get("data", []):
            where = f"line {error['line']}: " if error["line"] else ""
            terminal.say(terminal.harmless(f"{where}{error['code']}: {error['message']}"))
    return Exit.FAILED if batch["status"] == "failed" else Exit.DONE


def _download(args: argparse.Namespace, service: Service, terminal: Terminal) -> int:
    batch = service.get(f"/v1/batches/{args.batch}")
    file_id = cast(_Json, batch)["error_file_id" if args.errors else "output_file_id"]
    if not file_id:
        kind = "failed requests" if args.errors else "answers"
        raise CallerError(f"There are no {kind} of this batch; it is {batch['status']}.", status=404, code="not_found")
    with service.ask("GET", f"/v1/files/{file_id}/content") as answer:
        if args.output is None:
            terminal.show(answer.read().decode(), end="")
        else:
            fresh = args.output.with_name(f"{args.output.name}.part")
            with fresh.open("wb") as file:
                shutil.copyfileobj(answer, file)
            fresh.replace(args.output)
    return Exit.DONE
