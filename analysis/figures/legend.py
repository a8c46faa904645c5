"""Legend of rows below a figure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.style import LineStyle

_LETTERS_PER_INCH = 15  # of the caption's font
_LINE, _LINES = 0.21, 2  # height of a line in inches; lines that fit below the axes without more height


def row_legend(figure: Figure, rows: Sequence[str], style: Mapping[str, LineStyle], caption: str) -> None:
    """Add a legend of the rows below the axes, where it hides no data, in as many columns as the figure is wide."""
    handles = [
        Line2D([], [], color=style[row].colour, linestyle=style[row].dash, marker=style[row].marker, label=row, ms=6)
        for row in rows
    ]
    caption = textwrap.fill(caption, int(figure.get_figwidth() * _LETTERS_PER_INCH))
    for columns in range(min(len(handles), 4), 0, -1):
        legend = figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=columns,
            handlelength=3.2,
            title=caption,
            title_fontsize=8.5,
        )
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            lines = -(-len(handles) // columns)
            figure.set_figheight(figure.get_figheight() + _LINE * max(0, lines - _LINES))  # the axes keep their height
            return
        legend.remove()
