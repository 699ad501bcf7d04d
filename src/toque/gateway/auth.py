"""Who is calling: API keys, known only by their digests.

Law: a key is hashed before anything else is done with it, digests are compared in constant time, and neither is printed.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from toque.core.fallback import WaysOut
from toque.gateway.accounts import Accounts, Tab
from toque.gateway.rank import Rank, Rights
from toque.model.errors import CallerError
from toque.model.service_spec import KeySpec
from toque.model.ticket import PRIORITY, ServiceClass
from toque.wire.client import Headers


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is and what it may do. An empty `models` allows every model.

    `may_leave`: a fallback may take it to another machine. `share` is its weight among all who wait; `tab` is where its
    requests are counted, None where they are not limited. The key is accepted `until` then, in seconds since 1970.
    """

    tenant: str
    models: frozenset[str]
    rights: Rights
    may_leave: bool = False
    share: float = 1.0
    tab: Tab | None = None
    until: float = inf

    def may_use(self, model: str) -> bool:
        """Whether this caller may use a model."""
        return not self.models or model in self.models


NO_WAYS = WaysOut()
EVERYBODY = Caller("local", frozenset(), Rights(Rank(ServiceClass.INTERACTIVE, PRIORITY), best=0))
"""Where there are no keys: whoever can reach a listener on loopback has nobody to share with."""
_NOBODY = ("", EVERYBODY)  # its digest is that of no key


class KeyRing:
    """All keys. Without any, and not `is_guarded`, everybody passes: no such service listens on anything but loopback (S01).

    `ways` says which models may answer instead of which; `accounts`, where requests of limited keys are counted, and what time
    it is: without them no date is looked at.
    """

    def __init__(
        self,
        keys: Sequence[KeySpec],
        ways: WaysOut = NO_WAYS,
        *,
        keyless_may_leave: bool = False,
        accounts: Accounts | None = None,
        is_guarded: bool = False,
    ) -> None:
        self.ways = ways
        self._clock = accounts.clock if accounts is not None else _no_clock
        self._callers = {key.name: _caller(key, accounts) for key in keys}
        self._known = {digest: (digest, caller) for key in keys for digest, caller in _digests(key, self._callers)}
        self._everybody = replace(EVERYBODY, may_leave=keyless_may_leave)
        self._is_open = not self._known and not is_guarded

    def identify(self, headers: Headers) -> Caller:
        """Find the caller by `Authorization: Bearer KEY` or `x-api-key: KEY`. Raises `CallerError` (401)."""
        if self._is_open:
            return self._everybody
        sent = headers.get(b"x-api-key")
        if sent is None:
            scheme, _, sent = headers.get(b"authorization", b"").partition(b" ")
            if scheme.lower() != b"bearer":
                raise _not_known("An API key is needed: send it as `Authorization: Bearer KEY`.")
        digest = hashlib.sha256(sent.strip()).hexdigest()
        known, caller = self._known.get(digest, _NOBODY)
        if not hmac.compare_digest(known, digest):
            raise _not_known("This API key is not known here.")
        if self.left_s(caller) <= 0:
            raise _not_known("This API key has expired. Ask for a new one.")
        return caller

    def left_s(self, caller: Caller) -> float:
        """How long a caller's key is still accepted."""
        return caller.until - self._clock() if caller.until < inf else inf

    def find(self, tenant: str) -> Caller:
        """Return a caller by its name, for work it has ordered before. Raises `CallerError` (401) when its key is gone."""
        if self._is_open:
            return self._everybody
        caller = self._callers.get(tenant)
        if caller is None or self.left_s(caller) <= 0:
            raise _not_known("The API key that ordered this is not known here any more.")
        return caller

    def fallbacks(self, caller: Caller, model: str) -> tuple[str, ...]:
        """Return the models that may answer this caller instead, in order."""
        ways = self.ways.of(model, may_leave=caller.may_leave)
        return tuple(name for name in ways if caller.may_use(name))


def _caller(key: KeySpec, accounts: Accounts | None) -> Caller:
    tab = accounts.of(key.name) if accounts is not None else None
    usual = Rank(ServiceClass(key.service_class), key.priority)
    rights = Rights(usual, best=min(key.priority, key.priority_best))
    return Caller(key.name, key.models, rights, key.may_leave, key.share, tab, key.expires_at or inf)


def _digests(key: KeySpec, callers: Mapping[str, Caller]) -> Iterator[tuple[str, Caller]]:
    """Yield what a key is known by: its digest, and for a while that of the key it took the place of."""
    caller = callers[key.name]
    yield key.sha256.lower(), caller
    if key.former_sha256:
        yield key.former_sha256.lower(), replace(caller, until=min(caller.until, key.former_until))


def _no_clock() -> float:
    return 0.0


def _not_known(message: str) -> CallerError:
    return CallerError(message, status=401, error_type="authentication_error", code="invalid_api_key")


def check_model(caller: Caller, model: str) -> None:
    """Raise `CallerError` (403) when the key does not cover the model."""
    if caller.models and model not in caller.models:
        error = CallerError(
            "This API key may not use this model.",
            status=403,
            error_type="permission_error",
            code="model_not_allowed",
            param="model",
        )
        error.model = model
        raise error
