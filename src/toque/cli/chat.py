"""`toque chat`: talk with a model through the API, one question or a conversation.

Law: it is a client like any other: it sees only what the API gives.
"""

import argparse
import http.client
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias, cast

import msgspec

from toque.cli.api import add_api, api_service
from toque.cli.call import Service
from toque.cli.exits import Exit
from toque.cli.layout import count
from toque.cli.parser import add_json
from toque.cli.terminal import Terminal
from toque.model.errors import CallerError, UpstreamError
from toque.wire.sse import SseParser

PIECE_BYTES = 64 * 2**10
SYSTEM = "You are a helpful assistant. Answer in short sentences."
"""Said first unless told otherwise: a small model left without it wanders off."""
TOKENS_MAX = 1000
"""Of an answer, unless told otherwise: a model that finds no end must not hold the terminal."""
_Json: TypeAlias = Mapping[str, Any]  # what the API answers
_Turn: TypeAlias = dict[str, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("question", metavar="QUESTION", nargs="?", default="", help="ask once and end")
    parser.add_argument("--model", metavar="M", default="", help="which model (default: the first one listed)")
    add_api(parser)
    parser.add_argument("--system", metavar="TEXT", default=SYSTEM, help=f"the first message (default: {SYSTEM})")
    parser.add_argument(
        "--max-tokens", metavar="N", type=int, default=TOKENS_MAX, help=f"tokens of an answer (default: {TOKENS_MAX})"
    )
    add_json(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Answer one question, or as many as are typed."""
    service = api_service(args, terminal)
    question = args.question or ("" if terminal.inp.isatty() else terminal.inp.read().strip())
    talk = Conversation(service, args.model or _first_model(service), terminal, args.max_tokens)
    talk.begin(args.system)
    if question:
        talk.ask(question, is_json=args.json)
    elif terminal.inp.isatty():
        _converse(talk, terminal)
    else:
        raise CallerError('There is no question. Give one: toque chat "Why is the sky blue?"')
    return Exit.DONE


class Conversation:
    """The turns so far; each question is asked with all of them."""

    def __init__(self, service: Service, model: str, terminal: Terminal, tokens_max: int) -> None:
        self.model = model
        self._tokens_max = tokens_max
        self._service = service
        self._terminal = terminal
        self._turns: list[_Turn] = []

    def begin(self, system: str) -> None:
        """Say first how to answer; an empty text says nothing."""
        self._turns = [{"role": "system", "content": system}] if system else []

    def ask(self, question: str, *, is_json: bool = False) -> None:
        """Ask, and print the answer as it comes; a turn that fails or is stopped leaves the others as they were."""
        turns = [*self._turns, {"role": "user", "content": question}]
        usage: _Json = {}
        answer: list[str] = []
        finish = ""
        for chunk in self._stream(turns):
            usage = chunk.get("usage") or usage
            text = "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
            finish = next((said for choice in chunk["choices"] if (said := choice.get("finish_reason"))), finish)
            answer.append(text)
            if not is_json:
                self._terminal.show(self._terminal.harmless(text), end="")
        whole = "".join(answer)
        self._turns = [*turns, {"role": "assistant", "content": whole}]
        if is_json:
            self._terminal.show_json({"model": self.model, "text": whole, "usage": usage})
        else:
            self._terminal.show()
        if finish == "length":
            self._terminal.say(f"(cut after {count(self._tokens_max, 'token')}; --max-tokens allows more)")

    def _stream(self, turns: Sequence[_Turn]) -> Iterator[_Json]:
        request = {
            "model": self.model,
            "messages": turns,
            "max_completion_tokens": self._tokens_max,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        with self._service.ask("POST", "/v1/chat/completions", request) as answer:
            yield from _chunks(answer)


def _chunks(answer: http.client.HTTPResponse) -> Iterator[_Json]:
    """Read the pieces of an answer; raises `UpstreamError` for one that breaks off."""
    parser = SseParser()
    while piece := answer.read1(PIECE_BYTES):
        for event in parser.feed(piece):
            if event.data == b"[DONE]":
                return
            yield _chunk(event.data)
    raise UpstreamError("The answer broke off. Ask again; `toque why` with its request id says what happened.")


def _chunk(text: bytes) -> _Json:
    try:
        chunk = cast(_Json, msgspec.json.decode(text, type=dict))
    except msgspec.DecodeError as error:
        raise UpstreamError("A piece of the answer is not JSON: is it a toque that answers there?") from error
    if told := chunk.get("error"):
        raise UpstreamError(told["message"], code=told.get("code") or "")
    return chunk


def _converse(talk: Conversation, terminal: Terminal) -> None:
    """Ask what is typed until the end of input. Ctrl-C stops an answer, Ctrl-D ends the conversation."""
    terminal.say(f"Talking with {talk.model}. Ctrl-C stops an answer, Ctrl-D ends.")
    with suppress(ImportError):  # not on every platform
        import readline  # noqa: F401, PLC0415  # importing it is what gives input() its line editing
    while True:
        try:
            question = input("> ").strip()
        except EOFError:
            terminal.say("")
            return
        if question:
            _answer(talk, question, terminal)


def _answer(talk: Conversation, question: str, terminal: Terminal) -> None:
    try:
        talk.ask(question)
    except KeyboardInterrupt:
        terminal.say("\n(stopped)")
    except UpstreamError as error:
        terminal.say(f"\n{terminal.paint('error:', 'red', terminal.err)} {error.message}")


def _first_model(service: Service) -> str:
    models = cast(Sequence[_Json], service.get("/v1/models").get("data", []))
    if not models:
        raise CallerError("Your key may use no model of this service.", status=403, code="model_not_allowed")
    return str(models[0]["id"])
