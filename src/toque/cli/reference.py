"""The reference pages of the command line and of the errors that clients read, made from the code itself.

Law: a code that the source raises stands on the page, and a test finds those that do not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from toque.cli.exits import MEANINGS
from toque.cli.parser import make_parsers
from toque.model.errors import REFUSALS


@dataclass(frozen=True, slots=True)
class Told:
    """What one error code means: HTTP status, type, and when it is sent."""

    status: int
    type: str
    when: str


_BAD = "invalid_request_error"
_AWAY = "service_unavailable_error"
CODES: Mapping[str, Told] = {
    "invalid_json": Told(400, _BAD, "The body is not a JSON object."),
    "invalid_value": Told(400, _BAD, "A field or the head of the request is not allowed so; `param` names it."),
    "invalid_config": Told(
        422, _BAD, "Admin listener: the settings that were read anew cannot be used; the old ones hold."
    ),
    "context_length_exceeded": Told(400, _BAD, "The prompt does not fit into the context of the model."),
    "invalid_api_key": Told(401, "authentication_error", "No key was sent, or one that is not known."),
    "model_not_allowed": Told(403, "permission_error", "The key may not use this model."),
    "origin_not_allowed": Told(403, "permission_error", "Admin listener: the Host or Origin is not this machine's."),
    "not_found": Told(404, _BAD, "There is no such address, request or pool."),
    "method_not_allowed": Told(405, _BAD, "The address exists, not for this method; see `allow`."),
    "request_timeout": Told(408, _BAD, "The request did not arrive in time (`limits.header_read_s`)."),
    "idempotency_in_progress": Told(409, _BAD, "The request with this Idempotency-Key is still being answered."),
    "idempotency_mismatch": Told(422, _BAD, "This Idempotency-Key was used for another request."),
    "request_too_large": Told(413, _BAD, "The body is larger than `limits.body_bytes_max`."),
    "uri_too_long": Told(414, _BAD, "The URL is longer than `limits.url_bytes_max`."),
    "unsupported_media_type": Told(415, _BAD, "The body is not `application/json`."),
    "header_too_large": Told(431, _BAD, "Larger or more header fields than `limits` allows."),
    "rate_limit_exceeded": Told(
        429,
        "rate_limit_error",
        "A limit of the key is used up (`keys.NAME.limits`); or the hosted API behind this model limits us; or too many unknown "
        "keys came from this address (`limits.bad_keys_per_minute_max`).",
    ),
    "insufficient_quota": Told(429, "rate_limit_error", "The day's budget of the key is used up."),
    "resource_unavailable": Told(
        429,
        "rate_limit_error",
        "`service_tier` was `flex`, which is served from spare capacity, and there is none now.",
    ),
    "file_not_found": Told(400, _BAD, "`input_file_id` names no file of this caller."),
    "invalid_form": Told(400, _BAD, "An upload is no whole multipart form of one file and a few short fields."),
    "file_in_use": Told(409, _BAD, "A batch that has not ended needs the file."),
    "file_damaged": Told(500, "api_error", "A stored file is not what was stored."),
    "insufficient_storage": Told(507, "api_error", "The job store cannot be written; its disk may be full."),
    "store_unavailable": Told(
        503,
        "service_unavailable_error",
        "The server of the job store cannot be reached; `retry-after` says when to try.",
    ),
    "upstream_invalid_response": Told(502, "upstream_error", "The replica answered with what is no answer."),
    "ttft_timeout": Told(504, "timeout_error", "No first byte within `limits.ttft_s`."),
    "inter_token_timeout": Told(504, "timeout_error", "A gap longer than `limits.inter_token_s`."),
    "internal_error": Told(500, "api_error", "A bug of toque's."),
}
"""Errors that are no refusals of the fleet; those are in `model.errors.REFUSALS`."""

_CLI_HEAD = """\
# Command line

Made from the parser by `./dev docs`; do not edit. What was asked for goes to standard output, everything said about it to
standard error. `--json` prints JSON instead of text, `NO_COLOR` turns colours off, `--debug` (with every verb) shows where
an error came from.
"""
_ERRORS_HEAD = """\
# Errors

Made from the code by `./dev docs`; do not edit. Every error is
`{"error": {"message", "type", "param", "code"}}`, with `x-request-id`. Where waiting helps there is `retry-after` (whole
seconds) and `retry-after-ms`; elsewhere `x-should-retry: false`. Inside a stream that has begun the error is an event, and
no `[DONE]` follows it.

| Status | Code | Type | When |
|---|---|---|---|"""


def cli_page() -> str:
    """Return docs/reference/cli.md: every verb as `--help` prints it, and the exit statuses."""
    whole, verbs = make_parsers()
    sections = [f"## toque\n\n{_block(whole.format_help())}"]
    sections += [f"## toque {name}\n\n{_block(parser.format_help())}" for name, parser in verbs.items()]
    rows = [f"| {code.value} | {text} |" for code, text in MEANINGS.items()]
    table = "\n".join(["## Exit status", "", "| Status | Meaning |", "|---|---|", *rows])
    return "\n".join([_CLI_HEAD, "\n\n".join([*sections, table]), ""])


def errors_page() -> str:
    """Return docs/reference/errors.md: every code a client may read."""
    return "\n".join([_ERRORS_HEAD, *sorted(_error_rows()), ""])


def _error_rows() -> Iterator[str]:
    for code, told in CODES.items():
        yield f"| {told.status} | `{code}` | `{told.type}` | {told.when} |"
    for reason, (status, type_, message) in REFUSALS.items():
        yield f"| {status} | `{reason.value}` | `{type_}` | {message} |"


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"
