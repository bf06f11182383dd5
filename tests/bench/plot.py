"""A plot of numbers that span orders of magnitude, as SVG that needs nothing else."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 72, 590, 56, 404
# How far apart the names of two lines are at least.
LINE_HEIGHT = 17

# The viewer's choice of light or dark; the background is the picture's own, so either is readable anywhere.
_STYLE = """\
svg { color-scheme: light dark; font: 13px system-ui, sans-serif; }
.back { fill: #ffffff; } .text { fill: #1f2328; } .soft { fill: #59636e; } .grid { stroke: #d8dee4; }
.title { font-size: 15px; font-weight: 600; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.c0 { stroke: #0b62c4; } .c1 { stroke: #b35900; } .c2 { stroke: #1a7f37; } .c3 { stroke: #8250df; }
.dot { fill: #ffffff; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
.back { fill: #0d1117; } .text { fill: #e6edf3; } .soft { fill: #9198a1; } .grid { stroke: #30363d; }
.c0 { stroke: #58a6ff; } .c1 { stroke: #f0883e; } .c2 { stroke: #56d364; } .c3 { stroke: #d2a8ff; }
.dot { fill: #0d1117; }
}"""
_DASHES = ("", "6 4", "", "2 4")


class Line(NamedTuple):
    """A named line through points; both coordinates are above zero."""

    name: str
    points: Sequence[tuple[float, float]]


class Axis(NamedTuple):
    """A logarithmic axis: whole powers of ten from the low to the high, at these places of the picture."""

    low: int
    high: int
    start: float
    end: float

    def place(self, value: float) -> float:
        """Where a value is."""
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """The values that are marked."""
        return [10.0**power for power in range(self.low, self.high + 1)]


def axis(values: Sequence[float], start: float, end: float) -> Axis:
    """An axis that has room for all values."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return Axis(low, max(high, low + 1), start, end)


def spread(places: Sequence[float]) -> list[float]:
    """Places as near to the given ones as it takes that no two are closer than a line of text."""
    order = sorted(range(len(places)), key=lambda number: places[number])
    moved = list(places)
    for before, after in itertools.pairwise(order):
        moved[after] = max(moved[after], moved[before] + LINE_HEIGHT)
    return moved


def svg(title: str, x_name: str, y_name: str, lines: Sequence[Line]) -> str:
    """The plot; at most four lines."""
    x = axis([point[0] for line in lines for point in line.points], LEFT, RIGHT)
    y = axis([point[1] for line in lines for point in line.points], BOTTOM, TOP)
    names = spread([y.place(line.points[-1][1]) for line in lines])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{_STYLE}\n</style>",
        f'<rect class="back" width="{WIDTH}" height="{HEIGHT}"/>',
        text(LEFT, 26, title, "text title"),
        *grid(x, y),
        text((LEFT + RIGHT) / 2, HEIGHT - 14, x_name, "soft", "middle"),
        text(LEFT, TOP - 10, y_name, "soft"),
        *(part for number, line in enumerate(lines) for part in drawn(number, line, x, y)),
        *(part for number, place in enumerate(names) for part in named(number, place, lines[number].name)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def grid(x: Axis, y: Axis) -> list[str]:
    """The lines at the powers of ten, and what they are."""
    parts = []
    for value in x.ticks():
        place = x.place(value)
        name = text(place, BOTTOM + 19, f"{value:,g}", "soft", "middle")
        parts.append(f'<path class="grid" d="M{place:.1f} {TOP}V{BOTTOM}"/>{name}')
    for value in y.ticks():
        place = y.place(value)
        name = text(LEFT - 8, place + 4, f"{value:,g}", "soft", "end")
        parts.append(f'<path class="grid" d="M{LEFT} {place:.1f}H{RIGHT}"/>{name}')
    return parts


def drawn(number: int, line: Line, x: Axis, y: Axis) -> list[str]:
    """A line with a dot at each point."""
    places = [(x.place(one), y.place(other)) for one, other in line.points]
    path = " ".join(f"{one:.1f},{other:.1f}" for one, other in places)
    dots = [
        f'<circle class="dot c{number}" cx="{one:.1f}" cy="{other:.1f}" r="3.5"/>' for one, other in places
    ]
    return [f'<polyline class="line c{number}"{dash(number)} points="{path}"/>', *dots]


def named(number: int, place: float, name: str) -> list[str]:
    """The name of a line, after a piece of it."""
    piece = f'<path class="line c{number}"{dash(number)} d="M{RIGHT + 12} {place:.1f}h22"/>'
    return [piece, text(RIGHT + 42, place + 4, name, "text")]


def dash(number: int) -> str:
    """How a line is interrupted."""
    return f' stroke-dasharray="{_DASHES[number]}"' if _DASHES[number] else ""


def text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    """Some words."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
