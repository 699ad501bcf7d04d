"""The moving bar of a simulation, on terminals that move.

Law: it costs next to nothing a request: the bar is moved at most a hundred times a run.
"""

from collections.abc import Callable

from toque.cli.progress import LiveBars
from toque.cli.terminal import Terminal

STEP = 0.01


class SimulationBar:
    """Shows what runs now and how far it is; to be closed."""

    def __init__(self, terminal: Terminal) -> None:
        self._bars = LiveBars(terminal) if terminal.is_lively(terminal.err) else None
        self._title = ""
        self._told = 0.0

    def of(self, title: str, span_s: float) -> Callable[[float], None]:
        """Return what a simulation of so many virtual seconds tells its time."""
        if self._bars is None:
            return lambda now: None
        scale = 1 / max(span_s, 1e-9)
        return lambda now: self.move(f"simulating {title}", now * scale)

    def move(self, title: str, ratio: float) -> None:
        """Show how far something is; what has another title, or begins anew, takes the place of the one before."""
        if self._bars is None:
            return
        if title != self._title or ratio < self._told:
            self._bars.end(self._title)
            self._title, self._told = title, -1.0
        if ratio - self._told >= STEP:
            self._told = ratio
            self._bars.move(self._title, min(ratio, 0.99))

    def close(self) -> None:
        """Take the bar away."""
        if self._bars is not None:
            self._bars.close()
