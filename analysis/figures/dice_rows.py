"""Figure of the Dice of many rows: a line for each, a panel for each column."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.style import line_styles, new_figure, styled
from analysis.io.load import StudyResults
from analysis.stats.comparisons import estimate_of
from analysis.tables.grid import Grid

REFERENCE = "#666666"
"""Colour of the line through the mean of the panel's first reference."""


def dice_by_row(results: StudyResults, grid: Grid) -> Figure:
    """Plot mean test Dice with its 95% interval, rows down and columns across, with one point per replicate."""
    style = line_styles(grid.rows, grid.references.values())
    with styled():
        figure = new_figure(min(2.6 + 3.2 * len(grid.columns), 14.0), 1.3 + 0.3 * len(grid.rows))
        panels = figure.subplots(1, len(grid.columns), squeeze=False, sharey=True)[0]
        for axes, column in zip(panels, grid.columns, strict=True):
            reference = next((grid.cells[row, column] for row in grid.rows if (row, column) in grid.cells), None)
            if grid.references and reference is not None and not results.dice(reference).empty:
                axes.axvline(estimate_of(results, reference).mean, color=REFERENCE, lw=1)
            for place, row in enumerate(grid.rows):
                if (row, column) in grid.cells:
                    _line(axes, results, grid.cells[row, column], place, style[row].colour)
            axes.set_title(grid.column_title(column))
            axes.set_xlabel("Test Dice")
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.grid(axis="y", visible=False)
        panels[0].set_yticks(range(len(grid.rows)), grid.rows)
        panels[0].set_ylim(len(grid.rows) - 0.5, -0.5)
        caption = "Large: mean with 95% interval over subjects and replicates. Small: each replicate."
        line = f" Vertical line: mean of {grid.rows[0]}." if grid.references else ""
        figure.suptitle(textwrap.fill(results.plan.title, 80), x=0.01, ha="left", fontsize=10.5, fontweight="bold")
        figure.supxlabel(caption + line, fontsize=8.5)
    return figure


def _line(axes: Axes, results: StudyResults, cell: str, place: int, colour: str) -> None:
    """Draw one cell's interval, given its pretrainings where there are several, and its replicates below the line."""
    scores = results.dice(cell)
    if scores.empty:
        return
    estimate = estimate_of(results, cell)
    low, high = estimate.given or (estimate.low, estimate.high)
    if np.isfinite(low) and np.isfinite(high):
        axes.plot([low, high], [place, place], color=colour, lw=1.6)
    points = scores.mean(axis="columns")
    axes.plot(points, [place + 0.22] * len(points), ".", color=colour, alpha=0.6, ms=5, mew=0)
    axes.plot(estimate.mean, place, "o", color=colour, ms=6.5, mec="white", mew=0.9)
