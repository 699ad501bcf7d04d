"""A candidate on a running loop: what its election says, carried out against a record that may be slow, away or somebody else's."""

import asyncio
from dataclasses import dataclass, field

import httpx2

from tests.drivers.bench import until
from toque.model.cluster import Claim
from toque.model.cluster_spec import ClusterSpec
from toque.operator.candidate import Candidate

SPEC = ClusterSpec(lease_s=1, renew_s_max=0.6, renew_s=0.05)


@dataclass
class Record:
    claim: Claim | None = None
    number: int = 0
    is_away: bool = False
    is_deaf: bool = False
    is_broken: bool = False
    turns: list[str] = field(default_factory=list)

    async def look(self) -> Claim | None:
        await self._reach()
        return self.claim

    async def write(self, holder: str, lease_s: int, seen: Claim | None) -> str:
        await self._reach()
        if seen is not self.claim and (seen is None or self.claim is None or seen.mark != self.claim.mark):
            request = httpx2.Request("PUT", "http://127.0.0.1/")
            raise httpx2.HTTPStatusError("no", request=request, response=httpx2.Response(409, request=request))
        self.number += 1
        self.claim = Claim(holder, lease_s, str(self.number))
        return self.claim.mark

    async def _reach(self) -> None:
        if self.is_deaf:
            await asyncio.Event().wait()
        if self.is_broken:
            raise KeyError("metadata")
        if self.is_away:
            raise httpx2.ConnectError("away")

    def candidate(self, name: str) -> Candidate:
        made = Candidate(name, SPEC, self, lambda leads: self.turns.append(f"{'+' if leads else '-'}{name}"))
        made.open()
        return made


async def test_one_leads_and_gives_the_record_back_to_the_next() -> None:
    record = Record()
    one = record.candidate("a")
    await until(lambda: record.turns == ["+a"])
    two = record.candidate("b")
    await until(lambda: two.election.holder == "a")
    await one.close()
    assert record.claim is not None
    await until(lambda: record.turns == ["+a", "-a", "+b"])
    await two.close()
    assert record.claim.holder == ""


async def test_an_api_server_that_is_away_ends_a_reign_and_one_that_is_back_begins_it_anew() -> None:
    record = Record()
    one = record.candidate("a")
    await until(lambda: record.turns == ["+a"])
    record.is_away = True
    await until(lambda: record.turns == ["+a", "-a"])
    assert "cannot be reached" in one.election.trouble
    record.is_away = False
    await until(lambda: record.turns == ["+a", "-a", "+a"])
    await one.close()


async def test_an_api_server_that_never_answers_holds_nobody_beyond_its_time() -> None:
    record = Record()
    one = record.candidate("a")
    await until(lambda: record.turns == ["+a"])
    record.is_deaf = True
    await until(lambda: record.turns == ["+a", "-a"])
    record.is_deaf = False
    await until(lambda: record.turns == ["+a", "-a", "+a"])
    await one.close()


async def test_a_candidate_that_only_stood_ready_leaves_the_record_as_it_is() -> None:
    record = Record()
    one, two = record.candidate("a"), record.candidate("b")
    await until(lambda: two.election.holder == "a" and one.election.is_leading)
    await two.close()
    assert record.claim is not None
    assert record.claim.holder == "a"
    await one.close()
    assert record.turns == ["+a", "-a"]


async def test_a_bug_of_ours_ends_a_reign_like_an_api_server_that_is_away() -> None:
    record = Record()
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(str(context["message"])))
    one = record.candidate("a")
    await until(lambda: record.turns == ["+a"])
    record.is_broken = True
    await until(lambda: record.turns == ["+a", "-a"])
    assert one.election.trouble == "toque itself failed (KeyError)"
    assert told[0] == "A candidate failed"
    record.is_broken = False
    await until(lambda: record.turns == ["+a", "-a", "+a"])
    await one.close()
