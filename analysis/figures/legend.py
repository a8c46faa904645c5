"""Legend of rows below a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.style import LineStyle


def row_legend(figure: Figure, rows: Sequence[str], style: Mapping[str, LineStyle], caption: str) -> None:
    """Add a legend of the rows below the axes, where it hides no data."""
    handles = [
        Line2D([], [], color=style[row].colour, linestyle=style[row].dash, marker=style[row].marker, label=row, ms=6)
        for row in rows
    ]
    columns = min(len(handles), 4)
    figure.legend(
        handles=handles, loc="outside lower center", ncols=columns, handlelength=3.2, title=caption, title_fontsize=8.5
    )
