"""What a starting service announces, as lines for a person, moving bars where the terminal moves, or JSON lines.

Law: on anything but a terminal each step is a plain line, and a ratio is told at most every quarter.
"""

from collections.abc import Callable
from dataclasses import asdict
from types import TracebackType
from typing import Protocol, Self, assert_never

from toque.cli.layout import span
from toque.cli.terminal import Terminal
from toque.model.announcement import (
    Announcement,
    Assumed,
    Draining,
    Fetching,
    Listening,
    Loading,
    ModelFailed,
    ModelReady,
    Reloaded,
    ReloadRefused,
    StandsReady,
    Turned,
)
from toque.model.service_spec import ServiceSpec

RATIO_STEP = 0.25


class Bars(Protocol):
    """Progress of several things at once, and lines said meanwhile."""

    def move(self, title: str, ratio: float) -> None:
        """Show how far something is; 1 or more ends it."""
        ...

    def end(self, title: str) -> None:
        """Show something no longer."""
        ...

    def say(self, text: str) -> None:
        """Write a line."""
        ...


class PlainBars:
    """Lines for a log: the start, and each further quarter."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._told: dict[str, int] = {}

    def move(self, title: str, ratio: float) -> None:
        """Write a line when a quarter is full."""
        step = min(int(ratio / RATIO_STEP), int(1 / RATIO_STEP))
        if step > self._told.get(title, -1):
            self._told[title] = step
            self.say(f"{title}: {step * RATIO_STEP:.0%}" if step else f"{title}")

    def end(self, title: str) -> None:
        """Forget it: the next start is told again."""
        self._told.pop(title, None)

    def say(self, text: str) -> None:
        """Write a line."""
        self._terminal.say(text)


class LiveBars:
    """Moving bars, drawn by rich only while something moves."""

    def __init__(self, terminal: Terminal) -> None:
        from rich.console import Console  # noqa: PLC0415  # 60 ms that only a terminal pays
        from rich.progress import Progress, TaskID  # noqa: PLC0415

        self._progress = Progress(console=Console(file=terminal.err), transient=True)
        self._tasks: dict[str, TaskID] = {}

    def move(self, title: str, ratio: float) -> None:
        """Move a bar, and show it first if it is new."""
        if title not in self._tasks:
            self._tasks[title] = self._progress.add_task(title, total=1.0)
            self._progress.start()
        self._progress.update(self._tasks[title], completed=min(ratio, 1.0))

    def end(self, title: str) -> None:
        """Take a bar away, and the drawing with the last one."""
        if title in self._tasks:
            self._progress.remove_task(self._tasks.pop(title))
        if not self._tasks:
            self._progress.stop()

    def say(self, text: str) -> None:
        """Write a line above the bars."""
        from rich.text import Text  # noqa: PLC0415  # see above

        self._progress.console.print(Text.from_ansi(text), soft_wrap=True)

    def close(self) -> None:
        """Take everything away."""
        for title in list(self._tasks):
            self.end(title)


class Announcer:
    """Tells a person; to be used as a context, so that no bar outlives the service."""

    def __init__(self, spec: ServiceSpec, terminal: Terminal) -> None:
        self._spec = spec
        self._terminal = terminal
        self._live = LiveBars(terminal) if terminal.is_lively(terminal.err) else None
        self._bars: Bars = self._live or PlainBars(terminal)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.close()

    def __call__(self, announcement: Announcement) -> None:
        """Tell one step."""
        match announcement:
            case Assumed(text):
                self._bars.say(f"assumed: {text}")
            case Fetching(name, ratio):
                self._move(f"fetching {name}", ratio)
            case Listening(url, admin_url):
                self._tell_address(url, admin_url)
            case Loading(model, ratio):
                self._bars.move(f"loading {model}", ratio)
            case ModelReady() | ModelFailed():
                self._tell_start(announcement)
            case Reloaded() | ReloadRefused():
                self._tell_reload(announcement)
            case Draining() | StandsReady() | Turned():
                self._tell_turn(announcement)
            case _:
                assert_never(announcement)

    def _tell_start(self, ended: ModelReady | ModelFailed) -> None:
        self._bars.end(f"loading {ended.model}")
        if isinstance(ended, ModelReady):
            self._bars.say(self._paint(f"ready: {ended.model}, after {span(ended.seconds)}", "green"))
        else:
            self._bars.say(self._paint(f"failed: {ended.model}: {ended.reason}", "red"))

    def _tell_reload(self, ended: Reloaded | ReloadRefused) -> None:
        if isinstance(ended, Reloaded):
            tell_reload(ended, self._bars.say)
        else:
            self._bars.say(self._paint(f"not reloaded, the old settings hold: {ended.reason}", "red"))

    def _tell_turn(self, told: Draining | StandsReady | Turned) -> None:
        match told:
            case Draining(seconds):
                self._bars.say(f"draining: requests in flight may take {span(seconds)}; a second Ctrl-C ends them now")
            case StandsReady(name, admin_url):
                self._bars.say(f"standing ready as {name}" + (f"; admin: {admin_url}" if admin_url else ""))
            case Turned(True, _):
                self._bars.say(self._paint("leading: this controller decides", "green"))
            case Turned(_, reason):
                self._bars.say(f"standing ready again{': ' if reason else ''}{reason}")
            case _:
                assert_never(told)

    def _move(self, title: str, ratio: float) -> None:
        self._bars.move(title, ratio)
        if ratio >= 1:
            self._bars.end(title)

    def _tell_address(self, url: str, admin_url: str) -> None:
        self._bars.say(self._paint(f"listening: {url}", "bold"))
        if admin_url:
            self._bars.say(f"admin: {admin_url} (toque ps, toque why, /metrics)")
        if self._spec.models:  # those of a controller are not in the settings
            self._bars.say(f"try: {curl_line(self._spec, url)}")

    def _paint(self, text: str, style: str) -> str:
        return self._terminal.paint(text, style, self._terminal.err)


class JsonAnnouncer:
    """Tells a program: one JSON object a line on standard output."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def __call__(self, announcement: Announcement) -> None:
        """Tell one step."""
        self._terminal.show_json({"announcement": type(announcement).__name__, **asdict(announcement)})


def tell_reload(reloaded: Reloaded, say: Callable[[str], None]) -> None:
    """Say which settings changed and what that means."""
    for line in (*reloaded.changes, *reloaded.consequences):
        say(line)
    if not reloaded.changes:
        say("nothing has changed")
    elif reloaded.is_dry_run:
        say("a dry run: nothing was changed")


def curl_line(spec: ServiceSpec, url: str) -> str:
    """Write a request that can be pasted into a shell."""
    key = ' -H "authorization: Bearer $TOQUE_KEY"' if spec.keys else ""
    name = spec.models[0].pool.name
    question = '{"role":"user","content":"Why is the sky blue?"}'
    body = f'{{"model":"{name}","messages":[{question}],"max_tokens":100}}'
    return f"curl {url}/v1/chat/completions -H 'content-type: application/json'{key} -d '{body}'"
