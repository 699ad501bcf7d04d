"""The connection between one gateway and whoever leads, in virtual time.

Law: words arrive in the order in which they were said, after the same delay; when it ends, what was on its way is lost.
"""

from collections.abc import Callable
from itertools import count

from toque.alliance.host import Host
from toque.alliance.member import Member
from toque.alliance.words import FromLeader, Models
from toque.sim.clockwork import Clockwork

RETRY_S = 0.5
"""Between two attempts of a gateway to find whoever leads."""
REPORT_S = 0.1
"""Between two looks for something to report."""


class Link:
    """That of one gateway. `host` is that of whoever leads now. `words` counts what was said on it, both ways."""

    def __init__(
        self, clock: Clockwork, delay_s: float, who: tuple[str, str], member: Member, host: Callable[[], Host | None]
    ) -> None:
        self._clock = clock
        self._delay_s = delay_s
        self._who = who
        self._member = member
        self._host = host
        self._next_line = count(1).__next__
        self._line = 0  # none
        self._session = 0
        self._is_over = False
        self.words = 0

    def open(self) -> None:
        """Connect, and report from time to time."""
        self.connect()
        self._later(REPORT_S, self._tick)

    def connect(self) -> None:
        """Say hello to whoever leads, or try again."""
        if self._is_over or self._line:
            return
        line = self._line = self._next_line()
        hello = self._member.hello(*self._who)

        def arrives() -> None:
            host = self._host()
            if self._line != line:
                return
            if host is None or host.objection(hello):
                self.drop()
                self._later(RETRY_S, self.connect)
                return
            self._session = host.join(hello, lambda word: self._say_down(line, word))

        self._later(self._delay_s, arrives)

    def drop(self) -> None:
        """It has ended, and nobody was told."""
        self._line = self._session = 0

    def cut(self) -> None:
        """It ends, which whoever leads learns a little later."""
        host, session = self._host(), self._session
        self.drop()
        if host is not None and session:
            self._later(self._delay_s, lambda: host.lose(self._who[0], session))

    def close(self) -> None:
        """The gateway is gone."""
        self.cut()
        self._is_over = True

    def report(self) -> None:
        """Tell whoever leads what has changed; before the hello was answered there is nobody to tell."""
        host, line = self._host(), self._line
        if host is None or not self._session or (word := self._member.report(self._clock.now)) is None:
            return

        def arrives() -> None:
            if host is self._host() and self._line == line:
                host.hear(self._who[0], self._session, word)

        self.words += 1
        self._later(self._delay_s, arrives)

    def stir(self) -> None:
        """Report as soon as may be."""
        self._later(max(0.0, self._member.due_at() - self._clock.now), self.report)

    def _say_down(self, line: int, word: FromLeader) -> None:
        def arrives() -> None:
            if self._line == line and not isinstance(word, Models):
                self._member.hear(word)

        self.words += 1
        self._later(self._delay_s, arrives)

    def _tick(self) -> None:
        if not self._is_over:
            if self._clock.now >= self._member.due_at():
                self.report()
            self._later(REPORT_S, self._tick)

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self._clock.at(self._clock.now + seconds, call)
