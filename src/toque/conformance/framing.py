"""H01, H02: requests that two parsers could read in two ways, and hosts that are none.

Law: nothing behind an ambiguous request is ever answered.
"""

from collections.abc import Iterator

from toque.conformance.case import BrokenError, Case, Check
from toque.conformance.line import ClosedError, SilentError, line_to
from toque.conformance.target import CHAT, Target

REFUSALS = range(400, 500)
REFUSALS_OR_UNKNOWN = (*REFUSALS, 501, 505)
_BEHIND = "GET {prefix}/models HTTP/1.1\r\nHost: {authority}\r\n{key}\r\n"
AMBIGUOUS: dict[str, tuple[str, str]] = {
    "length-and-chunked": ("Content-Length: {length}\r\nTransfer-Encoding: chunked", "{chunked}"),
    "two-lengths": ("Content-Length: {length}\r\nContent-Length: 0", "{body}"),
    "length-list": ("Content-Length: {length}, 0", "{body}"),
    "length-plus": ("Content-Length: +{length}", "{body}"),
    "length-negative": ("Content-Length: -1", "{body}"),
    "length-hexadecimal": ("Content-Length: 0x{length}", "{body}"),
    "chunked-then-identity": ("Transfer-Encoding: chunked, identity", "{chunked}"),
    "unknown-coding": ("Transfer-Encoding: xchunked", "{chunked}"),
    "chunked-twice": ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "{chunked}"),
    "chunked-with-tab": ("Transfer-Encoding: \x0bchunked", "{chunked}"),
    "blank-before-colon": ("Transfer-Encoding : chunked", "{chunked}"),
    "folded-line": ("X-Folded: a\r\n b\r\nContent-Length: {length}", "{body}"),
    "bare-line-feed": ("X-Bare: a\nContent-Length: {length}", "{body}"),
    "bare-carriage-return": ("X-Bare: a\rb\r\nContent-Length: {length}", "{body}"),
    "nul-in-field": ("X-Nul: a\x00b\r\nContent-Length: {length}", "{body}"),
    "field-without-colon": ("X-None\r\nContent-Length: {length}", "{body}"),
    "empty-field-name": (": x\r\nContent-Length: {length}", "{body}"),
    "chunk-size-signed": ("Transfer-Encoding: chunked", "+{hexadecimal}\r\n{body}\r\n0\r\n\r\n"),
    "chunk-size-prefixed": ("Transfer-Encoding: chunked", "0x{hexadecimal}\r\n{body}\r\n0\r\n\r\n"),
    "chunk-size-huge": ("Transfer-Encoding: chunked", "1{zeros}{hexadecimal}\r\n{body}\r\n0\r\n\r\n"),
    "chunk-size-missing": ("Transfer-Encoding: chunked", "\r\n{body}\r\n0\r\n\r\n"),
    "chunk-without-end": ("Transfer-Encoding: chunked", "{hexadecimal}\r\n{body}XX0\r\n\r\n"),
    "chunk-extension-line-feed": ("Transfer-Encoding: chunked", "{hexadecimal};a\n{body}\r\n0\r\n\r\n"),
}
"""Name -> header lines and body. `{body}` is a good chat request; `{chunked}` the same in one chunk."""

HOSTS: dict[str, str] = {
    "missing": "",
    "double": "Host: {authority}\r\nHost: other.test\r\n",
    "with-path": "Host: {authority}/v1?\r\n",
    "with-query": "Host: {authority}?x\r\n",
    "with-fragment": "Host: {authority}#x\r\n",
    "with-user": "Host: user@{authority}\r\n",
    "with-blank": "Host: a b\r\n",
}


def cases() -> Iterator[Case]:
    """H01 and H02."""
    for name, (fields, body) in AMBIGUOUS.items():
        promise = "refused (4xx, 501) or closed, and nothing behind it is answered"
        if name == "length-and-chunked":
            promise += "; or served once as chunked, and closed (RFC 9112 section 6.1)"
        yield Case(f"H01-{name}", promise, _ambiguous(fields, body, may_serve=name == "length-and-chunked"))
    for name, host in HOSTS.items():
        yield Case(f"H02-host-{name}", "400", _host(host))


def _ambiguous(fields: str, body: str, *, may_serve: bool) -> Check:
    async def check(target: Target) -> str:
        question = target.question().decode()
        words = {
            "length": str(len(question)),
            "hexadecimal": f"{len(question):x}",
            "zeros": "0" * 16,
            "body": question,
            "chunked": f"{len(question):x}\r\n{question}\r\n0\r\n\r\n",
        }
        request = target.request("POST", CHAT, "Content-Type: application/json")
        behind = _BEHIND.format(
            prefix=target.prefix, authority=target.authority, key="".join(f"{line}\r\n" for line in target.key_lines())
        )
        head = request[:-2].decode("latin-1") + fields.format(**words) + "\r\n\r\n"
        return await _only_refused(
            target, (head + _filled(body, words) + behind).encode("latin-1"), may_serve=may_serve
        )

    return check


def _filled(template: str, words: dict[str, str]) -> str:
    for name, word in words.items():
        template = template.replace(f"{{{name}}}", word)
    return template


async def _only_refused(target: Target, request: bytes, *, may_serve: bool) -> str:
    async with line_to(target) as line:
        await line.send(request)
        try:
            first = await line.answer()
        except ClosedError:
            return "closed without an answer"
        try:
            second = await line.answer(3.0)
        except (ClosedError, SilentError) as end:
            ending = "closed" if isinstance(end, ClosedError) else "left open"
            is_well = first.status in REFUSALS_OR_UNKNOWN or (may_serve and ending == "closed")
            if not is_well:
                raise BrokenError(f"served: {first.status}, {ending}") from None
            return f"{first.status}, {ending}"
        raise BrokenError(f"two answers: {first.status}, then {second.status} to what was behind it")


def _host(host: str) -> Check:
    async def check(target: Target) -> str:
        key = "".join(f"{line}\r\n" for line in target.key_lines())
        fields = host.format(authority=target.authority)
        request = f"GET {target.prefix}/models HTTP/1.1\r\n{fields}{key}\r\n".encode("latin-1")
        async with line_to(target) as line:
            await line.send(request)
            try:
                answer = await line.answer()
            except ClosedError:
                return "closed without an answer"
        if answer.status not in REFUSALS:
            raise BrokenError(f"answered {answer.status}")
        return str(answer.status)

    return check
