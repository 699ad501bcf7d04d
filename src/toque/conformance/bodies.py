"""H06, H07, H08, H10: bodies that are no JSON, JSON that is a bomb, values and schemas that nobody may ask for.

Law: each is refused at the door, at once; none is served, and none is a fault of the server.
"""

import time
from collections.abc import Callable, Iterator

from toque.conformance.case import BrokenError, Case, Check, ask, expect
from toque.conformance.target import CHAT, Json, Target

SLOW_S = 2.0
"""A refusal that takes longer has let the bomb go off."""
_BAD = (400, 413, 422)

BODIES: dict[str, Callable[[bytes], bytes]] = {
    "H06-nested-million": lambda good: good[:-1] + b',"x":' + b"[" * 10**6 + b"]" * 10**6 + b"}",
    "H06-number-of-5000-digits": lambda good: good.replace(b'"max_tokens": 8', b'"max_tokens": ' + b"9" * 5000),
    "H07-empty": lambda _: b" ",
    "H07-truncated": lambda good: good[:-1],
    "H07-trailing": lambda good: good + b"x",
    "H07-array": lambda good: b"[" + good + b"]",
    "H07-nan": lambda good: good.replace(b'"max_tokens": 8', b'"temperature": NaN'),
    "H07-infinity": lambda good: good.replace(b'"max_tokens": 8', b'"temperature": 1e400'),
    "H07-invalid-utf-8": lambda good: good.replace(b"Say hi.", b"Say \xff\xfe"),
    "H07-lone-surrogate": lambda good: good.replace(b"Say hi.", b"Say \\ud800"),
    "H07-byte-order-mark": lambda good: b"\xef\xbb\xbf" + good,
}
VALUES: dict[str, tuple[str, Callable[[], Json]]] = {
    "n-million": ("n", lambda: 10**6),
    "top-logprobs-21": ("top_logprobs", lambda: 21),
    "logit-bias-100000": ("logit_bias", lambda: {str(token): 1 for token in range(10**5)}),
    "stop-100": ("stop", lambda: [str(number) for number in range(100)]),
    "max-tokens-negative": ("max_tokens", lambda: -1),
    "max-tokens-2-to-63": ("max_tokens", lambda: 2**63),
    "max-tokens-text": ("max_tokens", lambda: "many"),
    "temperature-hot": ("temperature", lambda: 1e9),
    "messages-none": ("messages", list),
    "messages-text": ("messages", lambda: "Say hi."),
    "messages-100000": ("messages", lambda: [{"role": "user", "content": "x"}] * 10**5),
    "tools-10000": ("tools", lambda: [{"type": "function", "function": {"name": f"f{n}"}} for n in range(10**4)]),
}
SCHEMAS: dict[str, Callable[[], Json]] = {
    "enum-100000": lambda: {"enum": [str(number) for number in range(10**5)]},
    "nested-200": lambda: _nested(200),
}
"""What an engine would compile into a grammar and follow token by token."""


def cases() -> Iterator[Case]:
    """H06, H07, H08 and H10."""
    for name, bend in BODIES.items():
        yield Case(name, f"400 (or 413, 422) within {SLOW_S:.0f} s", _bent(bend))
    for name, (param, wrong) in VALUES.items():
        yield Case(f"H08-{name}", f"400 (or 413, 422), and the error names `{param}`", _valued(param, wrong))
    for name, bomb in SCHEMAS.items():
        yield Case(f"H10-schema-{name}", "400 (or 413, 422), and the error names `response_format`", _schema(bomb))


def _bent(bend: Callable[[bytes], bytes]) -> Check:
    async def check(target: Target) -> str:
        body = bend(target.question())
        began = time.perf_counter()
        answer = await ask(target, target.request("POST", CHAT, body=body))
        seen = expect(answer, _BAD)
        if (took_s := time.perf_counter() - began) > SLOW_S:
            raise BrokenError(f"{seen}, after {took_s:.1f} s")
        return seen

    return check


def _schema(bomb: Callable[[], Json]) -> Check:
    shape: Callable[[], Json] = lambda: {"type": "json_schema", "json_schema": {"name": "x", "schema": bomb()}}  # noqa: E731
    return _valued("response_format", shape)


def _nested(levels: int) -> Json:
    schema: Json = {"type": "string"}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


def _valued(param: str, wrong: Callable[[], Json]) -> Check:
    async def check(target: Target) -> str:
        answer = await ask(target, target.chat(**{param: wrong()}))
        seen = expect(answer, _BAD)
        if answer.status != 413 and param.encode() not in answer.body:
            raise BrokenError(f"{seen}, and does not name it")
        return seen

    return check
