"""Style of figures: colour-blind-safe colours, and markers and dashes that survive greyscale printing."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase

from trainables.common.files import atomic_writer

_SETTINGS: Mapping[str, Any] = {
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 1.8,
    "svg.hashsalt": "figures",
    "pdf.fonttype": 42,
}

# Okabe and Ito's palette without vermilion, which resembles the reference outlines' red; each colour with a lighter
# tint for dark images.
_COLOURS = (
    ("#4d4d4d", "#ffffff"),
    ("#0072B2", "#3fb4ff"),
    ("#E69F00", "#ffc020"),
    ("#009E73", "#2fe0a8"),
    ("#CC79A7", "#ff9ad0"),
    ("#56B4E9", "#9be0ff"),
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (3, 1.2)))


DPI = 200
"""Resolution of PNG figures in dots per inch."""


@dataclass(frozen=True)
class LineStyle:
    """Line style of one row of a grid, shared by all figures.

    Attributes:
        colour: colour on a white background.
        tint: lighter colour for outlines on a dark image.
        marker: matplotlib marker of points.
        dash: matplotlib line style.
    """

    colour: str
    tint: str
    marker: str
    dash: Any


def line_styles(rows: Iterable[str], first: Iterable[str] = ()) -> dict[str, LineStyle]:
    """Return a line style for every row; the `first` rows (references) are grey."""
    leading = tuple(dict.fromkeys(first))
    names = dict.fromkeys([*leading, *rows])
    start = 0 if leading else 1
    return {name: _line_style(number) for number, name in enumerate(names, start)}


def _line_style(number: int) -> LineStyle:
    colour, tint = _COLOURS[number % len(_COLOURS)]
    return LineStyle(colour, tint, _MARKERS[number % len(_MARKERS)], _DASHES[number % len(_DASHES)])


def styled(**changes: Any) -> AbstractContextManager[None]:
    """Return a context with the report's style; `changes` are matplotlib settings with _ in place of the first dot."""
    settings: Any = {**_SETTINGS, **{name.replace("_", ".", 1): value for name, value in changes.items()}}
    return mpl.rc_context(settings)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of that size in inches, with constrained layout and no window."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def panel_shape(count: int, most: int) -> tuple[int, int]:
    """Return (rows, columns) of a panel grid with at most `most` columns."""
    across = min(count, most)
    return -(-count // across), across


def panels_of(figure: FigureBase, count: int, most: int, **options: Any) -> tuple[np.ndarray, list[Axes]]:
    """Add `count` panels to a figure.

    Args:
        figure: empty figure.
        count: number of panels.
        most: largest number of columns.
        options: keyword arguments of `Figure.subplots`.

    Returns:
        All axes as a grid `(rows, columns)`, the surplus ones hidden, and the `count` panels in order.
    """
    grid = figure.subplots(*panel_shape(count, most), squeeze=False, **options)
    for axes in grid.flat[count:]:
        axes.set_visible(False)
    return grid, list(grid.flat[:count])


def save(figure: Figure, path: Path) -> list[Path]:
    """Write a figure atomically as PNG to `path` and as PDF with the same stem; return both paths."""
    written = []
    for suffix, metadata in ((".png", {"Software": None}), (".pdf", {"CreationDate": None, "Creator": None})):
        content = io.BytesIO()
        with styled():
            figure.savefig(content, format=suffix[1:], dpi=DPI, metadata=metadata)
        figure.set_layout_engine("none")  # which keeps the places that it found
        target = path.with_suffix(suffix)
        with atomic_writer(target) as file:
            file.write(content.getvalue())
        written.append(target)
    return written
