"""The badge is worn by whoever leads, as soon as it can be pinned on; the last word counts."""

import httpx2

from tests.drivers.bench import until
from toque.operator.badge import Badge


class Pod:
    def __init__(self, *statuses: int) -> None:
        self.worn: list[bool] = []
        self.statuses = list(statuses)

    async def pin(self, is_leading: bool) -> None:
        if self.statuses:
            request = httpx2.Request("PATCH", "http://127.0.0.1/")
            answer = httpx2.Response(self.statuses.pop(0), request=request, headers={"retry-after": "0"})
            raise httpx2.HTTPStatusError("no", request=request, response=answer)
        self.worn.append(is_leading)


async def test_what_a_predecessor_in_this_pod_wore_is_taken_off_and_the_leader_wears_it_while_it_leads() -> None:
    pod = Pod()
    badge = Badge(pod.pin)
    badge.open()
    await until(lambda: pod.worn == [False])
    badge.turn(is_leading=True)
    await until(lambda: pod.worn == [False, True])
    badge.turn(is_leading=False)
    await until(lambda: pod.worn == [False, True, False])
    await badge.close()


async def test_an_api_server_that_is_away_is_asked_again_and_told_the_last_word() -> None:
    pod = Pod(503, 503)
    badge = Badge(pod.pin)
    badge.open()
    badge.turn(is_leading=True)
    await until(lambda: pod.worn == [True])
    await badge.close()


async def test_who_may_not_pin_it_on_goes_without() -> None:
    pod = Pod(403)
    badge = Badge(pod.pin)
    badge.open()
    await until(lambda: not pod.statuses)
    badge.turn(is_leading=True)
    await until(lambda: pod.worn == [True])
    await badge.close()
