"""The accounts of all keys that have limits: what requests are held to, and by what they took.

Law: a reservation is settled exactly once. Keys without limits have no account, and no cost.
"""

from collections.abc import Callable, Iterable, Mapping

from toque.core.account import NOTHING, Account, Excess, day_of
from toque.gateway.book import Book
from toque.model.errors import LimitedError
from toque.model.fallback_spec import PriceSpec
from toque.model.service_spec import KeySpec
from toque.model.usage import Standing, Use
from toque.ports import UsageStore
from toque.records.served import Served

ITEM_WAIT_S_MAX = 60.0
"""An item of a batch comes again after this at most: its tenant's budget may have been raised meanwhile."""
FREE = PriceSpec()


class Accounts:
    """`clock` tells seconds since 1970 and never goes back. Without a store a day's budget ends with the process."""

    def __init__(self, clock: Callable[[], float], store: UsageStore | None = None) -> None:
        self.clock = clock
        self.book = Book(store)
        self._tabs: dict[str, Tab] = {}
        self._prices: Mapping[str, PriceSpec] = {}

    async def open(self) -> None:
        """Learn what was used today before; comes first. Raises `OSError` for a store that cannot be used."""
        await self.book.open(day_of(self.clock()))

    def revise(self, keys: Iterable[KeySpec], prices: Mapping[str, PriceSpec]) -> None:
        """Go by other keys and prices from now on; who is in both keeps what it has used."""
        now = self.clock()
        self._prices = prices
        limited = {key.name: key.limits for key in keys if key.limits.is_limited}
        for name in self._tabs.keys() - limited.keys():
            del self._tabs[name]
        for name, spec in limited.items():
            tab = self._tabs.setdefault(name, Tab(name, self, Account(spec, now)))
            tab.account.revise(spec, now)

    def of(self, tenant: str) -> "Tab | None":
        """Return where a tenant's requests are counted; None where nothing is."""
        return self._tabs.get(tenant)

    def price(self, model: str) -> PriceSpec:
        """What a model's tokens cost."""
        return self._prices.get(model, FREE)

    async def close(self) -> None:
        """Write down what is not yet."""
        await self.book.close()


class Tab:
    """One tenant's account, and the book it is kept by."""

    __slots__ = ("account", "accounts", "tenant")

    def __init__(self, tenant: str, accounts: Accounts, account: Account) -> None:
        self.tenant = tenant
        self.accounts = accounts
        self.account = account

    def reserve(
        self, model: str, prompt_tokens: int, output_tokens_max: int, *, is_item: bool = False
    ) -> "Reservation":
        """Set aside what a request will take. Raises `LimitedError` when a limit of its key is used up.

        `is_item`: it belongs to a batch, which only the day's budget can hold up.
        """
        account, now = self.account, self.accounts.clock()
        if account.counts_days:
            account.learn(day_of(now), self.accounts.book.total(self.tenant, day_of(now)))
        expected = account.expect(prompt_tokens, output_tokens_max, self.accounts.price(model))
        excess = account.admit(expected, now, is_item=is_item)
        if excess is not None:
            raise self._limited(excess, now, is_item=is_item)
        return Reservation(self, expected, is_item=is_item)

    def fields(self, now: float) -> bytes:
        """Write header fields that say how far the limits are used up, each with its CRLF."""
        standings = ((b"requests", self.account.requests(now)), (b"tokens", self.account.tokens(now)))
        return b"".join(_fields(what, standing) for what, standing in standings if standing is not None)

    def _limited(self, excess: Excess, now: float, *, is_item: bool) -> LimitedError:
        """Say which limit is used up. A day's budget is nothing that a client should wait for, but a batch can."""
        message = f"This API key's limit of {excess.limit} is used up."
        if not excess.is_of_day:
            error = LimitedError(f"{message} Try again after Retry-After.", retry_after_s=excess.wait_s)
        else:
            wait_s = min(excess.wait_s, ITEM_WAIT_S_MAX) if is_item else 0.0
            message = (
                f"{message} It begins anew at midnight UTC, in {told_s(excess.wait_s)}; its operator may raise it."
            )
            error = LimitedError(message, code="insufficient_quota", retry_after_s=wait_s)
        error.fields = self.fields(now)
        return error


class Reservation:
    """What one request is expected to take, until it is known what it took."""

    __slots__ = ("_expected", "_is_item", "_tab")

    def __init__(self, tab: Tab, expected: Use, *, is_item: bool) -> None:
        self._tab = tab
        self._expected = expected
        self._is_item = is_item

    def fields(self) -> bytes:
        """Write header fields for its answer."""
        return self._tab.fields(self._tab.accounts.clock())

    def settle(self, served: Served) -> None:
        """The request has ended.

        1. Its tokens were counted. 2. They were not, but it kept a replica busy: part of an answer went out, or its client
        left. 3. It got nothing for it.
        """
        used = NOTHING
        if served.prompt_tokens or served.output_tokens:  # 1
            price = self._tab.accounts.price(served.model)
            cost = price.cost(served.prompt_tokens, served.output_tokens)
            used = Use(served.prompt_tokens + served.output_tokens, cost)
            self._tab.account.notice(served.output_tokens)
        elif served.ttft_us or (served.attempts and served.outcome == "abandoned"):  # 2
            used = self._expected
        self._end(used)  # 3

    def cancel(self) -> None:
        """The request was answered without a replica."""
        self._end(NOTHING)

    def _end(self, used: Use) -> None:
        tab = self._tab
        tab.account.settle(self._expected, used, tab.accounts.clock(), is_item=self._is_item)
        if used.tokens and tab.account.counts_days:
            tab.accounts.book.add(tab.tenant, tab.account.day, used)


def told_s(wait_s: float) -> str:
    """Write a duration as OpenAI's headers do: `850ms`, `59s`, `6m0s`, `13h5m0s`."""
    if wait_s < 1:
        return f"{wait_s * 1000:.0f}ms" if wait_s > 0 else "0s"
    minutes, seconds = divmod(round(wait_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}s" if hours else f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


def _fields(what: bytes, standing: Standing) -> bytes:
    told = (what, standing.limit, what, standing.remaining, what, told_s(standing.reset_s).encode("ascii"))
    return b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %d\r\nx-ratelimit-reset-%b: %b\r\n" % told
