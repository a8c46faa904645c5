"""How figures look: colours that colour-blind readers tell apart, markers and dashes that survive grey printing."""

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
from matplotlib.figure import Figure

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

# Okabe and Ito's palette, without the vermilion that would pass for the overlays' truth; each with the tint that shows
# on a dark image.
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
"""Of figures as pixels."""


@dataclass(frozen=True)
class LineStyle:
    """How one row of a grid is drawn, in every figure.

    Attributes:
        colour: on white.
        tint: the same hue on a dark image.
        marker: of its points.
        dash: of its lines.
    """

    colour: str
    tint: str
    marker: str
    dash: Any


def looks(rows: Iterable[str], first: Iterable[str] = ()) -> dict[str, LineStyle]:
    """A look for every row; the `first` rows (references) come first and so are grey."""
    leading = tuple(dict.fromkeys(first))
    names = dict.fromkeys([*leading, *rows])
    start = 0 if leading else 1
    return {name: _look(number) for number, name in enumerate(names, start)}


def _look(number: int) -> LineStyle:
    colour, tint = _COLOURS[number % len(_COLOURS)]
    return LineStyle(colour, tint, _MARKERS[number % len(_MARKERS)], _DASHES[number % len(_DASHES)])


def styled(**changes: Any) -> AbstractContextManager[None]:
    """While entered, figures are drawn in the report's style; `changes` are matplotlib settings with _ for the dot."""
    settings: Any = {**_SETTINGS, **{name.replace("_", ".", 1): value for name, value in changes.items()}}
    return mpl.rc_context(settings)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches, that belongs to no window and lays itself out."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def panel_shape(count: int, most: int) -> tuple[int, int]:
    """(rows, columns) of so many panels, at most `most` side by side."""
    across = min(count, most)
    return -(-count // across), across


def panels_of(figure: Figure, count: int, most: int, **options: Any) -> tuple[np.ndarray, list[Axes]]:
    """So many panels of a figure: as a grid `(rows, columns)`, and in turn; places that are left over are empty."""
    grid = figure.subplots(*panel_shape(count, most), squeeze=False, **options)
    for axes in grid.flat[count:]:
        axes.set_visible(False)
    return grid, list(grid.flat[:count])


def save(figure: Figure, path: Path) -> list[Path]:
    """Write `figure` as PNG to `path` and as PDF beside it, each whole or not at all."""
    written = []
    for suffix, metadata in ((".png", {"Software": None}), (".pdf", {"CreationDate": None, "Creator": None})):
        content = io.BytesIO()
        with styled():
            figure.savefig(content, format=suffix[1:], dpi=DPI, metadata=metadata)
        target = path.with_suffix(suffix)
        with atomic_writer(target) as file:
            file.write(content.getvalue())
        written.append(target)
    return written
