"""The geometry of bar charts that the server draws as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 480, 96
_TOP = 4
"""Free space above the highest bar, in pixels."""


@dataclass(frozen=True, slots=True)
class Value:
    """A number to draw; ``label`` names it in full, ``short`` below the chart."""

    label: str
    short: str
    count: int
    part: int = 0
    """How many of ``count`` are in the darker part of the bar."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; positions in pixels from the left and from the top.

    ``part_height`` is the height of its darker part, at the bottom.
    """

    value: Value
    x: float
    y: int
    width: float
    height: int
    part_height: int = 0

    @property
    def part_y(self) -> int:
        return HEIGHT - self.part_height


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of ``WIDTH`` by ``HEIGHT`` pixels; ``key`` is unique on the page."""

    key: str
    title: str
    description: str
    column: str
    """The name of what the bars stand for, above the table's first column."""
    unit: str
    """The name of what is counted."""
    bars: list[Bar]
    part_unit: str = ""
    """The name of the darker parts of the bars; "": they have none."""
    every: int = 1
    """Each of so many bars has a label below it."""
    width: int = WIDTH
    height: int = HEIGHT


def bars(values: Sequence[Value]) -> list[Bar]:
    """Return a bar for each value; one above 0 is at least 2 pixels high."""
    most = max((value.count for value in values), default=0)
    slot = WIDTH / max(len(values), 1)
    gap = slot * 0.2
    found = []
    for number, value in enumerate(values):
        height, part = (_height(count, most) for count in (value.count, value.part))
        x, width = round(number * slot + gap / 2, 2), round(slot - gap, 2)
        found.append(Bar(value, x, HEIGHT - height, width, height, part))
    return found


def _height(count: int, most: int) -> int:
    return max(round(count * (HEIGHT - _TOP) / most), 2) if count else 0
