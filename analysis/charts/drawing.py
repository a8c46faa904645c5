"""Positions of a panel's marks in an SVG drawing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis.charts.chart import Panel, Point, Series

WIDTH, HEIGHT = 460, 290
LEFT, RIGHT, TOP, BOTTOM = 62, 450, 10, 240
"""Sides of the plotting area in pixels of the drawing."""

ROW, LETTER = 26, 7.5
"""Least height of a row of a categorical y axis, and the width of a letter of its name, in pixels."""

MARGIN = 0.04
"""Empty share of the plotting area beyond the outermost points."""

MARKERS = {
    "o": "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z",
    "s": "M-3.6,-3.6h7.2v7.2h-7.2Z",
    "^": "M0,-4.6L4.4,3.6H-4.4Z",
    "v": "M0,4.6L4.4,-3.6H-4.4Z",
    "D": "M0,-5L5,0L0,5L-5,0Z",
    "P": "M-1.6,-4.6h3.2v3h3v3.2h-3v3h-3.2v-3h-3v-3.2h3Z",
    "X": "M-4.4,-2.4L-2.4,-4.4L0,-2L2.4,-4.4L4.4,-2.4L2,0L4.4,2.4L2.4,4.4L0,2L-2.4,4.4L-4.4,2.4L-2,0Z",
}
"""SVG path of each of matplotlib's markers that figures use, around the origin."""


@dataclass(frozen=True)
class Tick:
    """One tick of an axis: its place in pixels and its text."""

    place: float
    text: str


@dataclass(frozen=True)
class Scale:
    """Linear map from the units of the data to pixels.

    Attributes:
        low: smallest value shown, as a logarithm on a logarithmic scale.
        high: largest value shown, above `low`.
        start: pixel of `low`.
        end: pixel of `high`.
        logarithmic: True to map the decimal logarithm.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    @classmethod
    def around(cls, values: Iterable[float], start: float, end: float, *, logarithmic: bool = False) -> Scale:
        """Return the scale that shows all values with a margin; a single value is in the middle."""
        shown = [math.log10(value) if logarithmic else value for value in values]
        low, high = min(shown), max(shown)
        room = MARGIN * (high - low) or abs(low) * MARGIN or 1.0
        return cls(low - room, high + room, start, end, logarithmic)

    def place(self, value: float) -> float:
        """Return the pixel of a value."""
        shown = math.log10(value) if self.logarithmic else value
        share = (shown - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, most: int = 6) -> list[Tick]:
        """Return at most `most` ticks at round numbers."""
        return [Tick(self.place(value), f"{value:.4g}") for value in self._round_numbers(most)]

    def _round_numbers(self, most: int) -> list[float]:
        if self.logarithmic:
            found = _decades(self.low, self.high)
            if len(found) > 1:
                return found[:: -(-len(found) // most)]
            return [float(f"{10 ** (self.low + share * (self.high - self.low)):.1g}") for share in (0.1, 0.5, 0.9)]
        step = _step((self.high - self.low) / (most - 1))
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [float(f"{number * step:.10g}") for number in range(first, last + 1)]


@dataclass(frozen=True)
class Marker:
    """One marker at a pixel, with the path of its shape."""

    x: float
    y: float
    shape: str
    point: Point


@dataclass(frozen=True)
class Area:
    """Sides of a plotting area in pixels of the drawing."""

    left: float
    right: float
    top: float
    bottom: float

    @classmethod
    def of(cls, rows: Sequence[str]) -> Area:
        """Return the area beside the names of a categorical y axis, as high as its rows need."""
        left = max([LEFT, *(round(16 + LETTER * len(row)) for row in rows)])
        return cls(min(left, (LEFT + RIGHT) // 2), RIGHT, TOP, max(BOTTOM, TOP + ROW * len(rows)))


@dataclass(frozen=True)
class Drawing:
    """A panel with the scales of its axes, for the template."""

    panel: Panel
    area: Area
    x: Scale
    y: Scale

    @classmethod
    def of(cls, panel: Panel) -> Drawing:
        """Return the drawing of a panel that has at least one point."""
        places, area = [place for series in panel.series for place in _places(series)], Area.of(panel.rows)
        across = [float(number) for number in range(len(panel.levels))] or [x for x, _ in places]
        across += [*panel.ends, *([panel.reference] if panel.reference is not None else [])]
        rows = len(panel.rows)
        up = Scale(-0.5, rows - 0.5, area.top, area.bottom) if rows else None
        return cls(
            panel,
            area,
            Scale.around(across, area.left, area.right, logarithmic=panel.logarithmic),
            up or Scale.around([y for _, y in places], area.bottom, area.top),
        )

    @property
    def height(self) -> float:
        """Height of the drawing in pixels, with the x axis and its title."""
        return HEIGHT - BOTTOM + self.area.bottom

    @property
    def y_ticks(self) -> list[Tick]:
        """Ticks of the y axis: round numbers, or the rows of a category."""
        if not self.panel.rows:
            return self.y.ticks()
        return [Tick(self.y.place(number), row) for number, row in enumerate(self.panel.rows)]

    @property
    def x_ticks(self) -> list[Tick]:
        """Ticks of the x axis: round numbers, or the levels of a category."""
        if not self.panel.levels:
            return self.x.ticks()
        return [Tick(self.x.place(number), level) for number, level in enumerate(self.panel.levels)]

    def markers(self, series: Series) -> list[Marker]:
        """Return the markers of a series."""
        shape = MARKERS[series.marker]
        return [Marker(self.x.place(each.x), self.y.place(each.y), shape, each) for each in series.points]

    def lines(self, series: Series) -> list[str]:
        """Return the points of each thin line of a series, as an SVG polyline has them."""
        return [self._polyline(line) for line in series.thin]

    def line(self, series: Series) -> str:
        """Return the points of the line through the markers; empty for a series that is not joined."""
        return self._polyline([(each.x, each.y) for each in series.points]) if series.joined else ""

    def _polyline(self, line: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{self.x.place(x)},{self.y.place(y)}" for x, y in line)


def _places(series: Series) -> list[tuple[float, float]]:
    spans = ((x, each.y) for each in series.points if each.span is not None for x in each.span)
    return [*((each.x, each.y) for each in series.points), *spans, *(place for line in series.thin for place in line)]


def _decades(low: float, high: float) -> list[float]:
    """Return the powers of ten between two logarithms; with 2 and 5 times them where they are few."""
    exponents = range(math.floor(low), math.ceil(high) + 1)
    factors = (1,) if high - low > 3 else (1, 2, 5)
    found = [float(f"{factor}e{exponent}") for exponent in exponents for factor in factors]
    return [value for value in found if low <= math.log10(value) <= high]


def _step(least: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))
