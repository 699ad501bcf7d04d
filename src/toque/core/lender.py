"""The lender: which gateway has how many slots of which replica of one pool.

Law: a slot is here, or with one gateway, or on its way between the two, and then it counts as that gateway's. So however late
words come, the slots of all gateways never add up to more than a replica has. What a gateway has it has until it gives it
back, or is proven dead.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from math import inf
from typing import TypeAlias

from toque.core.elsewhere import Elsewhere
from toque.core.replica import READY, Replica
from toque.core.shares import Need, share_out
from toque.model.cluster import CapSlots, ForgetReplica, GrantSlots, OfferReplica, PoolLoad, WithdrawReplica
from toque.model.messages import Effect

PAUSE_S = 0.02
"""Between two divisions of one pool: each costs a step over all gateways, and words on the wire."""
GATEWAYS_A_PAUSE = 32
"""With more gateways the pause grows as the cost of a division does."""

Cap: TypeAlias = tuple[int | None, bool]
ALL: Cap = (None, False)
"""What a gateway may keep that nothing is missed of."""


class Account:
    """What one gateway has of one pool: `held` by replica, and `total` of it on replicas that take requests.

    `since` is when the first of its people began to wait (inf: nobody waits), `part` what it was last found to deserve, `cap` what
    it was told to keep. It `is_here` while it is connected.
    """

    __slots__ = ("cap", "held", "is_here", "load", "part", "since", "total")

    def __init__(self) -> None:
        self.held: dict[int, int] = {}
        self.total = 0
        self.load = PoolLoad()
        self.since = inf
        self.cap = ALL
        self.part = 0
        self.is_here = False

    @property
    def useful(self) -> int:
        """Slots that requests can be sent to."""
        return max(0, self.total - self.load.useless)

    @property
    def lack(self) -> int:
        """Slots that it deserves and has not."""
        return max(0, self.part - self.useful)

    @property
    def is_needy(self) -> bool:
        """Whether it has no free slot for whoever comes next."""
        return self.load.in_flight + self.load.waiting + self.load.batch >= self.useful

    @property
    def lacks_for_people(self) -> bool:
        """Whether people have too few slots here."""
        return self.load.in_flight + self.load.waiting > self.useful

    def need(self) -> Need:
        """Say what it has to do."""
        load = self.load
        return Need(load.in_flight + load.waiting, load.batch, self.since, self.useful)


class Lender:
    """Slots of one pool; `sum` is the load of all its gateways. `stirred` hears that there is something to tell or to divide."""

    __slots__ = (
        "_free",
        "_news",
        "_offered",
        "_open",
        "_pool",
        "_replicas",
        "_spare",
        "_stirred",
        "accounts",
        "next_at",
        "sum",
    )

    def __init__(self, pool: str, load: Elsewhere, stirred: Callable[[], None]) -> None:
        self._pool = pool
        self.sum = load
        self._stirred = stirred
        self.accounts: dict[str, Account] = {}
        self._replicas: dict[int, Replica] = {}
        """Those that gateways know."""
        self._offered: set[int] = set()
        """Of them, those of which it is not known yet who holds what."""
        self._open: set[int] = set()
        """Of them, those whose slots are lent."""
        self._spare: OrderedDict[int, int] = OrderedDict()
        """Of these, those with slots that nobody has -> how many; the one that lent last is at the end."""
        self._free = 0
        self._news: list[Effect] = []
        self.next_at = -inf

    # ---- replicas ----------------------------------------------------------------------------------------------------

    def place(self, replica: Replica) -> None:
        """A replica changed its state: it is offered when it is ready, and withdrawn when it is no longer."""
        is_out = replica.id in self._offered or replica.id in self._open
        if (replica.state is READY) is is_out:
            return
        if is_out:
            self._close(replica)
            self._tell(WithdrawReplica(replica.id))
        else:
            self._replicas[replica.id] = replica
            self._offered.add(replica.id)
            self._tell(OfferReplica(self._pool, replica.id))

    def remove(self, replica: Replica) -> None:
        """Nothing is left of a replica."""
        if replica.id in self._replicas:
            self._close(replica)
            del self._replicas[replica.id]
            for account in self.accounts.values():
                account.held.pop(replica.id, None)
            replica.lent = 0
            self._tell(ForgetReplica(replica.id))

    def claimed(self, replica_id: int, held: Iterable[tuple[str, int]]) -> None:
        """Who holds what of an offered replica is known: from now on its slots are lent."""
        if replica_id not in self._offered:
            return  # it was withdrawn meanwhile
        replica = self._replicas[replica_id]
        self._offered.remove(replica_id)
        self._open.add(replica_id)
        for account in self.accounts.values():
            account.total += account.held.get(replica_id, 0)
        for gateway, count in held:
            self._move(self.accounts.setdefault(gateway, Account()), replica, count)
        self._settle(replica)
        self._stirred()

    def _close(self, replica: Replica) -> None:
        self._offered.discard(replica.id)
        if replica.id in self._open:
            self._open.remove(replica.id)
            for account in self.accounts.values():
                account.total -= account.held.get(replica.id, 0)
            self._settle(replica)

    def _tell(self, news: Effect) -> None:
        self._news.append(news)
        self._stirred()

    # ---- gateways ----------------------------------------------------------------------------------------------------

    def join(self, gateway: str, held: Iterable[tuple[int, int]]) -> None:
        """A gateway is here, and tells all it holds: that is true, whatever was thought before."""
        account = self.accounts.setdefault(gateway, Account())
        self._release(account)
        account.is_here, account.cap = True, ALL
        for replica_id, count in held:
            if replica_id in self._replicas:
                self._move(account, self._replicas[replica_id], count)
        self._stirred()

    def lose(self, gateway: str) -> None:
        """A gateway cannot be told anything now."""
        self.accounts[gateway].is_here = False
        self._stirred()

    def bury(self, gateway: str) -> None:
        """A gateway is gone: what it held is free."""
        account = self.accounts.pop(gateway, None)
        if account is not None:
            self._release(account)
            self._add(account, PoolLoad(), inf)
            self._stirred()

    def returned(self, gateway: str, replica_id: int, count: int) -> None:
        """A gateway gave slots back; of a replica that is gone they went with it."""
        account, replica = self.accounts.get(gateway), self._replicas.get(replica_id)
        if account is not None and replica is not None:
            self._move(account, replica, -min(count, account.held.get(replica_id, 0)))
            self._stirred()

    def report(self, gateway: str, load: PoolLoad, now: float) -> None:
        """Learn what a gateway has to do."""
        account = self.accounts[gateway]
        was_needy = account.is_needy
        self._add(account, load, now - load.waiting_s if load.waiting else inf)
        if self._free or was_needy or account.is_needy:
            self._stirred()

    def _add(self, account: Account, load: PoolLoad, since: float) -> None:
        """Keep the sums."""
        total, before = self.sum, account.load
        total.in_flight += load.in_flight - before.in_flight
        total.waiting += load.waiting - before.waiting
        total.batch += load.batch - before.batch
        total.batch_in_flight += load.batch_in_flight - before.batch_in_flight
        was_first = account.since <= total.since
        account.load, account.since = load, since
        if since <= total.since:
            total.since = since
        elif was_first:
            total.since = min((other.since for other in self.accounts.values()), default=inf)

    # ---- dividing ----------------------------------------------------------------------------------------------------

    def announce(self, out: list[Effect]) -> None:
        """Tell what became of replicas."""
        out.extend(self._news)
        self._news.clear()

    def divide(self, now: float, out: list[Effect]) -> None:
        """Find out what each gateway deserves, ask those for slots who have too many, and lend what is here."""
        here = {name: account for name, account in self.accounts.items() if account.is_here}
        if self._open:
            self.next_at = now + PAUSE_S * max(1.0, len(here) / GATEWAYS_A_PAUSE)
        needs = [account.need() for account in here.values()]
        parts = share_out(self._free + sum(need.held for need in needs), needs)
        for account, part in zip(here.values(), parts, strict=True):
            account.part = part
        self._ask_back(here, out)
        self.lend(out)

    def lend(self, out: list[Effect]) -> None:
        """Lend what is here to those who lack it: first where no slot is free, of these where somebody waits longest."""
        if not self._free:
            return
        lacking = [(name, account) for name, account in self.accounts.items() if account.is_here and account.lack]
        lacking.sort(key=lambda item: (not item[1].is_needy, item[1].since, -item[1].lack, item[0]))
        for name, account in lacking:
            if self._free:
                self._lend(name, account, out)

    def _ask_back(self, here: dict[str, Account], out: list[Effect]) -> None:
        """Cap those who have more than their part, as far as somebody without a free slot lacks it; uncap all others.

        What is merely uneven stays as it is: slots move only where they are missed.
        """
        needy = [account for account in here.values() if account.is_needy and account.lack]
        missed = sum(account.lack for account in needy) - self._free
        for_people = any(account.lacks_for_people for account in needy)
        donors = sorted(here.items(), key=lambda item: (item[1].cap == ALL, item[1].part - item[1].useful, item[0]))
        for name, account in donors:
            taken = min(max(0, missed), max(0, account.useful - account.part))
            missed -= taken
            self._cap(name, account, (account.total - taken, for_people) if taken else ALL, out)

    def _cap(self, name: str, account: Account, cap: Cap, out: list[Effect]) -> None:
        if account.cap != cap:
            account.cap = cap
            out.append(CapSlots(name, self._pool, *cap))

    def _lend(self, name: str, account: Account, out: list[Effect]) -> None:
        self._cap(name, account, ALL, out)
        granted: Counter[int] = Counter()
        for _ in range(min(self._free, account.lack)):
            replica_id = next(iter(self._spare))
            self._move(account, self._replicas[replica_id], 1)
            granted[replica_id] += 1
        out.extend(GrantSlots(name, replica_id, count) for replica_id, count in granted.items())

    # ---- counting ----------------------------------------------------------------------------------------------------

    def _move(self, account: Account, replica: Replica, count: int) -> None:
        """Write so many slots of a replica to a gateway's account, or off it."""
        left = account.held.pop(replica.id, 0) + count
        if left:
            account.held[replica.id] = left
        replica.lent += count
        if replica.id in self._open:
            account.total += count
            self._settle(replica)

    def _release(self, account: Account) -> None:
        """Take back all that a gateway held."""
        for replica_id, count in list(account.held.items()):
            self._move(account, self._replicas[replica_id], -count)

    def _settle(self, replica: Replica) -> None:
        """Count anew what nobody has of a replica, and put it at the end of those that lend."""
        self._free -= self._spare.pop(replica.id, 0)
        spare = replica.slots - replica.lent if replica.id in self._open else 0
        if spare > 0:
            self._spare[replica.id] = spare
            self._free += spare
