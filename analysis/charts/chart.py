"""Charts in a representation that is independent of their drawing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """One marker of a chart.

    Attributes:
        x: position on the x axis, in the units of the data.
        y: position on the y axis, in the units of the data.
        text: values in words, shown when the pointer is on the marker.
        hollow: True for an empty marker, as of a trial that was stopped early.
        span: ends of a horizontal interval through the marker, in the units of x; None for none.
    """

    x: float
    y: float
    text: str
    hollow: bool = False
    span: tuple[float, float] | None = None


@dataclass(frozen=True)
class Series:
    """Points of one legend entry.

    Attributes:
        name: text of the legend entry; series of one name are shown and hidden together.
        colour: colour on a white background.
        marker: matplotlib's letter of the marker.
        points: markers, in order of x where they are joined.
        joined: True to draw a line through the points.
        thin: further lines without markers, as (x, y) in the units of the data.
    """

    name: str
    colour: str
    marker: str
    points: tuple[Point, ...]
    joined: bool = False
    thin: tuple[tuple[tuple[float, float], ...], ...] = ()


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: heading of the panel.
        x_label: title of the x axis.
        y_label: title of the y axis.
        series: drawn series, at least one with a point.
        logarithmic: True for a logarithmic x axis.
        levels: names of the positions 0, 1, ... of a categorical x axis; empty for numbers.
        rows: names of the positions 0, 1, ... of a categorical y axis, from the top; empty for numbers.
        reference: place of a dashed vertical line, in the units of x; None for none.
        ends: values that the x axis shows whatever the points are; empty for none.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    logarithmic: bool = False
    levels: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    reference: float | None = None
    ends: tuple[float, ...] = ()


@dataclass(frozen=True)
class Chart:
    """Panels with one legend.

    Attributes:
        caption: sentence below the chart on what it shows.
        panels: panels in reading order.
    """

    caption: str
    panels: tuple[Panel, ...]

    @property
    def legend(self) -> tuple[Series, ...]:
        """The first series of each name, in order of appearance."""
        named = {each.name: each for panel in reversed(self.panels) for each in reversed(panel.series)}
        return tuple(reversed(named.values()))
