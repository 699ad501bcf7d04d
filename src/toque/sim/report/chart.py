"""One chart as inline SVG: a frame with axes, and lines, areas, marks and words in it.

Law: every text is escaped here; colours are classes, so that light and dark are the style's business; a chart has a name for
those who do not see it.
"""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import count

from toque.sim.report.axis import Axis

WIDTH = 760
LEFT, RIGHT, TOP, BOTTOM = 58, 70, 14, 42
LABEL_APART = 15
LETTER_WIDTH = 7.2
_Spot = tuple[float, float]


class Chart:
    """Draws from back to front; `text` is the SVG."""

    def __init__(self, name: str, across: Axis, up: Axis, height: int, right: Axis | None = None) -> None:
        self._name = name
        self._across, self._up, self._right = across, up, right
        self._height = height
        self._parts: list[str] = []
        self._labels: list[tuple[float, float, str, str]] = []
        self._draw_axes()

    @property
    def text(self) -> str:
        """The whole drawing."""
        name = escape(self._name)
        inside = "".join([*self._parts, *self._placed_labels()])
        box = f'viewBox="0 0 {WIDTH} {self._height}"'
        return f'<svg {box} role="img" aria-label="{name}"><title>{name}</title>{inside}</svg>'

    def line(self, spots: Iterable[_Spot], style: str) -> None:
        """Join spots by straight lines."""
        self._path(self._joined(spots), f"line {style}")

    def steps(self, spots: Sequence[_Spot], until: float, style: str) -> None:
        """Keep each value until the next one, the last one until the end."""
        self._path(self._joined(_as_steps(spots, until)), f"line {style}")

    def area(self, spots: Sequence[_Spot], until: float, style: str) -> None:
        """Fill below steps."""
        if spots:
            ground = [(until, self._up.low), (spots[0][0], self._up.low)]
            self._path(self._joined([*_as_steps(spots, until), *ground]) + "Z", f"area {style}")

    def band(self, lower: Sequence[_Spot], upper: Sequence[_Spot], until: float, style: str) -> None:
        """Fill between two rows of steps."""
        edge = [*_as_steps(upper, until), *reversed(_as_steps(lower, until))]
        self._path(self._joined(edge) + "Z", f"area {style}")

    def level(self, value: float, words: str) -> None:
        """Draw a limit across, its name in the right margin."""
        y = self._y(value)
        self._parts.append(f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        self._parts.append(f'<text class="small" x="{WIDTH - RIGHT + 4}" y="{y + 4:.1f}">{escape(words)}</text>')

    def upright(self, value: float, words: str) -> None:
        """Draw a limit upwards."""
        x = self._x(value)
        self._parts.append(f'<line class="limit" x1="{x}" x2="{x}" y1="{TOP}" y2="{self._height - BOTTOM}"/>')
        self._parts.append(
            f'<text class="small" x="{x + 5:.1f}" y="{self._height - BOTTOM - 7}">{escape(words)}</text>'
        )

    def mark(self, spot: _Spot, words: str, more: str, style: str) -> None:
        """Set a named mark; `more` is told when it is pointed at. `style` may hold `diamond` or `square`."""
        x, y = self._x(spot[0]), self._y(spot[1])
        turn = f' transform="rotate(45 {x} {y})"' if "diamond" in style else ""
        shape = f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"{turn}'
        shape = shape if "diamond" in style or "square" in style else f'<circle cx="{x}" cy="{y}" r="6"'
        self._parts.append(f'{shape} class="mark {style}"><title>{escape(more)}</title></{shape[1:].split()[0]}>')
        self._labels.append((x, y, words, style))

    def _draw_axes(self) -> None:
        bottom, end = self._height - BOTTOM, WIDTH - RIGHT
        for value, words in self._up.marks:
            y = self._y(value)
            self._parts.append(f'<line class="grid" x1="{LEFT}" x2="{end}" y1="{y}" y2="{y}"/>')
            self._write(LEFT - 7, y + 4, words, "tick end")
        for value, words in self._right.marks if self._right else ():
            self._write(end + 7, self._from_above(self._right.share(value)) + 4 if self._right else 0, words, "tick")
        for value, words in self._across.marks:
            self._write(self._x(value), bottom + 17, words, "tick middle")
        self._parts.append(f'<line class="edge" x1="{LEFT}" x2="{end}" y1="{bottom}" y2="{bottom}"/>')
        self._write((LEFT + end) / 2, self._height - 6, self._across.title, "tick middle")
        self._aside(14, self._up.title)
        if self._right:
            self._aside(WIDTH - 8, self._right.title)

    def _aside(self, x: float, words: str) -> None:
        y = (TOP + self._height - BOTTOM) / 2
        self._parts.append(
            f'<text class="tick middle" x="{x}" y="{y}" transform="rotate(-90 {x} {y})">{escape(words)}</text>'
        )

    def _write(self, x: float, y: float, words: str, style: str) -> None:
        self._parts.append(f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>')

    def _path(self, way: str, style: str) -> None:
        self._parts.append(f'<path class="{style}" d="{way}"/>')

    def _joined(self, spots: Iterable[_Spot]) -> str:
        steps = zip(count(), spots, strict=False)
        return "".join(f"{'L' if number else 'M'}{self._x(x)} {self._y(y)}" for number, (x, y) in steps)

    def _placed_labels(self) -> list[str]:
        """Write names beside their marks, none over another or over a mark; one that had to move gets a line to its mark."""
        taken = [(x - 8.0, x + 8.0, y) for x, y, _, _ in self._labels]
        texts = []
        for x, y, words, style in self._labels:
            width = LETTER_WIDTH * len(words)
            is_left = x + 14 + width > WIDTH
            left = x - 11 - width if is_left else x + 11
            at = next(place for place in self._places(y) if _is_free(taken, left, left + width, place))
            taken.append((left, left + width, at))
            if at != y:
                texts.append(
                    f'<line class="leader" x1="{x}" y1="{y}" x2="{x + (-9 if is_left else 9):.1f}" y2="{at:.1f}"/>'
                )
            side = "end " if is_left else ""
            start = x + (-11 if is_left else 11)
            texts.append(f'<text class="label {side}{style}" x="{start:.1f}" y="{at + 4:.1f}">{escape(words)}</text>')
        return texts

    def _places(self, y: float) -> Iterator[float]:
        """Heights for a label: at its mark, then ever farther below and above, last of all anywhere."""
        for distance in range(0, self._height, LABEL_APART):
            for place in (y + distance, y - distance):
                if TOP <= place <= self._height - BOTTOM - LABEL_APART:
                    yield place
        yield from (self._height + LABEL_APART * number for number in count())

    def _x(self, value: float) -> float:
        return round(LEFT + self._across.share(value) * (WIDTH - LEFT - RIGHT), 1)

    def _y(self, value: float) -> float:
        return self._from_above(self._up.share(value))

    def _from_above(self, share: float) -> float:
        return round(self._height - BOTTOM - share * (self._height - TOP - BOTTOM), 1)


def _as_steps(spots: Sequence[_Spot], until: float) -> list[_Spot]:
    ends = [x for x, _ in spots[1:]] + [until]
    return [spot for (x, y), end in zip(spots, ends, strict=True) for spot in ((x, y), (end, y))]


def _is_free(taken: Sequence[tuple[float, float, float]], left: float, right: float, y: float) -> bool:
    return all(abs(y - other) >= LABEL_APART - 1 or right < begin or left > end for begin, end, other in taken)
