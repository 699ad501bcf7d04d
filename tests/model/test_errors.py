"""The error tree: whose fault, which status, which code, and nothing internal in a message."""

import pytest

from toque.model.errors import (
    REFUSALS,
    CallerError,
    ConfigError,
    DriverError,
    InternalError,
    RefusedError,
    ToqueError,
    UpstreamError,
)
from toque.model.ticket import RefusalReason


@pytest.mark.parametrize(
    ("error", "status", "type_", "code"),
    [
        (CallerError("no"), 400, "invalid_request_error", "invalid_value"),
        (ConfigError("no"), 400, "invalid_request_error", "invalid_config"),
        (UpstreamError("no"), 502, "upstream_error", "upstream_lost"),
        (UpstreamError("no", status=504, code="ttft_timeout"), 504, "timeout_error", "ttft_timeout"),
        (DriverError("no"), 503, "service_unavailable_error", "no_healthy_replica"),
        (InternalError("no"), 500, "api_error", "internal_error"),
    ],
)
def test_every_kind_knows_status_type_and_code(error: ToqueError, status: int, type_: str, code: str) -> None:
    assert (error.status, error.type, error.code) == (status, type_, code)
    assert (error.message, str(error), error.param, error.retry_after_s) == ("no", "no", "", 0.0)


def test_a_caller_error_may_be_any_client_status() -> None:
    error = CallerError("Say who you are.", status=401, error_type="authentication_error", code="invalid_api_key")
    assert (error.status, error.type, error.code) == (401, "authentication_error", "invalid_api_key")
    error = CallerError("Too much.", status=429, code="slow_down", param="n", retry_after_s=2.0)
    assert (error.code, error.param, error.retry_after_s) == ("slow_down", "n", 2.0)


def test_a_config_error_says_where_and_how_to_fix_it() -> None:
    error = ConfigError("slots must be a number", where="toque.toml:4", fix="slots = 2")
    assert (error.where, error.fix) == ("toque.toml:4", "slots = 2")
    assert error.told() == "slots must be a number (toque.toml:4) slots = 2"
    assert ConfigError("slots must be a number").told() == "slots must be a number"


@pytest.mark.parametrize("reason", RefusalReason)
def test_every_refusal_has_a_status_and_says_what_to_do(reason: RefusalReason) -> None:
    error = RefusedError(reason, retry_after_s=7.0)
    assert (error.status, error.type, error.message) == REFUSALS[reason]
    assert (error.code, error.reason, error.retry_after_s) == (reason.value, reason, 7.0)
    assert error.status in {404, 429, 502, 503, 504}
    assert error.message.endswith(".")


def test_classes_keep_their_own_codes() -> None:
    RefusedError(RefusalReason.QUEUE_FULL)
    assert RefusedError.status == 503
    assert UpstreamError.type == "upstream_error"
