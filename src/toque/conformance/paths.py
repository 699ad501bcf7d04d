"""H03, H12, H13: paths in other spellings, methods, media types, and protocols that are not spoken here.

Law: nobody gets further by spelling a path in another way; nothing is ever switched to another protocol.
"""

from collections.abc import Iterator

from toque.conformance.case import BrokenError, Case, Check, ask, expect, told
from toque.conformance.line import ClosedError, SilentError, line_to
from toque.conformance.target import CHAT, Target

SPELLINGS: dict[str, str] = {
    "double-slash": "/{prefix}/models",
    "inner-double-slash": "{prefix}//models",
    "encoded-letter": "{prefix}/%6dodels",
    "encoded-slash": "{prefix}%2fmodels",
    "encoded-dots": "{prefix}/%2e%2e{prefix}/models",
    "dots": "{prefix}/../{prefix}/models",
    "nul": "{prefix}/models%00",
    "parameter": "{prefix}/models;x=1",
    "upper-case": "{upper}/MODELS",
    "absolute-form": "http://elsewhere.test{prefix}/models",
}
WRONG_FORMS: dict[str, tuple[str, range | tuple[int, ...]]] = {
    "text": ("Content-Type: text/plain", (400, 415, 422)),
    "form": ("Content-Type: application/x-www-form-urlencoded", (400, 415, 422)),
    "no-json-but-like-it": ("Content-Type: application/jsonx", (400, 415, 422)),
    "compressed": ("Content-Type: application/json\r\nContent-Encoding: gzip", (400, 415)),
}
UPGRADES: dict[str, str] = {
    "h2c": "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    "websocket": (
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    ),
}
TLS_HELLO = bytes.fromhex("16030100a5010000a10303") + bytes(162)


def cases() -> Iterator[Case]:
    """H03, H12 and H13."""
    for name, spelling in SPELLINGS.items():
        promise = "no 5xx; and without the key not answered (where there is a key)"
        yield Case(f"H03-{name}", promise, _spelled(spelling))
    yield Case("H12-get-chat", "405 with an Allow field", _wrong_method)
    for name, (fields, statuses) in WRONG_FORMS.items():
        yield Case(f"H12-body-{name}", "415 (or 400, 422)", _wrong_form(fields, statuses))
    for name, fields in UPGRADES.items():
        yield Case(f"H13-{name}", "no 101; answered as if nobody had asked, or refused", _upgrade(fields))
    yield Case("H13-trace", "refused (4xx, 501), and the request is not sent back", _trace)
    yield Case("H13-connect", "refused (4xx, 501) or closed", _connect)
    yield Case("H13-tls-on-plain-port", "refused or closed", _tls)


def _spelled(spelling: str) -> Check:
    async def check(target: Target) -> str:
        path = spelling.format(prefix=target.prefix, upper=target.prefix.upper())
        seen = []
        for key in [target.key_lines(), []] if target.key else [[]]:
            lines = [f"GET {path} HTTP/1.1", f"Host: {target.authority}", *key, "", ""]
            answer = await ask(target, "\r\n".join(lines).encode())
            seen.append(str(answer.status) + ("" if key or not target.key else " without key"))
            is_open = answer.status == 200 and target.key is not None and not key
            if answer.status >= 500 or is_open:
                raise BrokenError(", ".join(seen))
        return ", ".join(seen)

    return check


async def _wrong_method(target: Target) -> str:
    answer = await ask(target, target.request("GET", CHAT))
    seen = f"{told(answer)}, Allow: {answer.fields.get('allow', 'none')}"
    if answer.status != 405 or "POST" not in answer.fields.get("allow", "").upper():
        raise BrokenError(seen)
    return seen


def _wrong_form(fields: str, statuses: range | tuple[int, ...]) -> Check:
    async def check(target: Target) -> str:
        return expect(await ask(target, target.chat(*fields.split("\r\n"))), statuses)

    return check


def _upgrade(fields: str) -> Check:
    async def check(target: Target) -> str:
        answer = await ask(target, target.request("GET", "/models", *fields.split("\r\n")))
        return expect(answer, [status for status in range(200, 500) if status != 101])

    return check


async def _trace(target: Target) -> str:
    answer = await ask(target, target.request("TRACE", "/models", "X-Secret-Field: canary"))
    if b"canary" in answer.body:
        raise BrokenError(f"{answer.status}, and the request was sent back")
    return expect(answer, (*range(400, 500), 501))


async def _connect(target: Target) -> str:
    lines = ["CONNECT elsewhere.test:443 HTTP/1.1", "Host: elsewhere.test:443", *target.key_lines(), "", ""]
    try:
        return expect(await ask(target, "\r\n".join(lines).encode()), (*range(400, 500), 501))
    except ClosedError:
        return "closed without an answer"


async def _tls(target: Target) -> str:
    if target.is_tls:
        return "it speaks TLS"
    async with line_to(target) as line:
        await line.send(TLS_HELLO)
        line.end_sending()
        try:
            text = await line.rest(5.0)
        except SilentError:
            raise BrokenError("neither answered nor closed within 5 s") from None
    if (text and not text.startswith(b"HTTP/1.")) or text[9:10] not in {b"", b"4"}:
        raise BrokenError(f"answered {text[:12]!r}")
    return text[:12].decode("ascii") if text else "closed without an answer"
