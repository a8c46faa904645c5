"""Figure of each test subject's Dice with and without a pretraining."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import LineStyle, line_styles, new_figure, panel_shape, panels_of, styled
from analysis.io.load import StudyResults
from analysis.tables.grid import Grid

MAX_COLUMNS = 4


def paired_subjects(results: StudyResults, grid: Grid) -> Figure | None:
    """Plot each test subject's Dice against the reference's at the fewest labels, one panel per row.

    Dice is the mean over shared replicates. Return None while no row shares a replicate with its reference.
    """
    pairs = {row: pair for row in grid.references if (pair := _pair(results, grid, row)) is not None}
    if not pairs:
        return None
    style = line_styles(grid.rows, grid.references.values())
    down, across = panel_shape(len(pairs), MAX_COLUMNS)
    low = min(float(pair.min()) for pair in pairs.values())
    limits = max(0.0, low - 0.03), 1.0
    with styled():
        figure = new_figure(2.7 * across + 0.6, 3.2 * down + 0.5)
        panels, places = panels_of(figure, len(pairs), MAX_COLUMNS, sharex=True, sharey=True)
        for axes, (row, pair) in zip(places, pairs.items(), strict=True):
            _panel(axes, pair, style[row], limits)
            axes.set_title(row)
            axes.set_xlabel(f"Dice of {grid.references[row]}")
        for line in panels:
            line[0].set_ylabel("Dice")
        figure.suptitle(f"Each test subject{grid.at(grid.smallest)}", fontsize=11, fontweight="bold")
    return figure


def _pair(results: StudyResults, grid: Grid, row: str) -> np.ndarray | None:
    """Return Dice `(2, S)` of the reference and of the row; None where they share no replicate."""
    keys = [grid.cells.get((name, grid.smallest)) for name in (grid.references[row], row)]
    if None in keys:
        return None
    first, second = (results.dice(str(key)) for key in keys)
    a, b = first.align(second, join="inner")
    return np.stack([a.mean(axis=0), b.mean(axis=0)]) if a.size else None


def _panel(axes: Axes, pair: np.ndarray, line_style: LineStyle, limits: tuple[float, float]) -> None:
    axes.plot(limits, limits, color="#888888", lw=1)
    axes.plot(pair[0], pair[1], line_style.marker, color=line_style.colour, ms=4.5, alpha=0.65, mew=0)
    better = int((pair[1] > pair[0]).sum())
    axes.text(0.03, 0.95, f"better in {better} of {pair.shape[1]}", transform=axes.transAxes, va="top", fontsize=9)
    axes.set(xlim=limits, ylim=limits, box_aspect=1)
