"""Learning curves of pretrainings and replicates."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.legend import row_legend
from analysis.figures.style import LineStyle, line_styles, new_figure, panel_shape, panels_of, styled
from analysis.io.load import StudyResults
from analysis.tables.grid import Grid

MAX_COLUMNS = 4

TITLE = 30
"""Letters of a panel's title in one line."""


def learning_curves(results: StudyResults, grid: Grid) -> Figure:
    """Plot pretext loss by epoch, one panel per kind of pretraining, and below the replicates, one panel per column.

    Replicates show their validation metric, or their training loss where they were never validated. Thin lines are
    single jobs; the thick line is the replicates' mean up to the last epoch that all of them reached.
    """
    style = line_styles(grid.rows, grid.references.values())
    pretext = _pretext_histories(results)
    metric = _metric(results)
    counts = [count for count in (len(pretext), len(grid.columns)) if count]
    shapes = [panel_shape(count, MAX_COLUMNS) for count in counts]
    with styled():
        figure = new_figure(
            3.1 * max(2, *(across for _, across in shapes)), 2.6 * sum(down for down, _ in shapes) + 0.5
        )
        parts = figure.subfigures(len(counts), 1, squeeze=False, height_ratios=[down for down, _ in shapes])[:, 0]
        if pretext:
            _pretext_panels(*panels_of(parts[0], len(pretext), MAX_COLUMNS), pretext, style)
        panels = panels_of(parts[-1], len(grid.columns), MAX_COLUMNS, sharey=True)
        _replicate_panels(*panels, results, grid, metric, style)
        row_legend(figure, grid.rows, style, "Thick: mean of the replicates. Thin: each replicate.")
    return figure


def _metric(results: StudyResults) -> str:
    """Return the metric of the replicates' curves: that of validation, or the training loss without validation."""
    metric, replicates = f"val/{results.plan.metric}", results.of_kind("replicate")
    validated = metric in replicates and bool(replicates[metric].notna().any())
    return metric if validated or replicates.empty else "loss"


def _pretext_histories(results: StudyResults) -> dict[str, list[pd.Series]]:
    """Return the training losses of each group of pretrainings that differ by their seed only, one series per job."""
    found: dict[str, list[pd.Series]] = {}
    for job in results.of_kind("pretext")["id"]:
        history = results.history(job)
        if "loss" in history:
            found.setdefault(results.name_of(job).group, []).append(history["loss"].dropna())
    return found


def _pretext_panels(
    lines: np.ndarray, panels: Sequence[Axes], pretext: Mapping[str, list[pd.Series]], style: Mapping[str, LineStyle]
) -> None:
    other = LineStyle("#4d4d4d", "#ffffff", "o", "-")
    for axes, (method, losses) in zip(panels, pretext.items(), strict=True):
        line_style = style.get(method, other)
        for loss in losses:
            _line(axes, loss, line_style, 1.8 if len(losses) == 1 else 0.9)
        _epochs(axes, textwrap.fill(f"Pretext loss: {method}", TITLE))
    for line in lines:
        line[0].set_ylabel("Loss")


def _replicate_panels(
    lines: np.ndarray,
    panels: Sequence[Axes],
    results: StudyResults,
    grid: Grid,
    metric: str,
    style: Mapping[str, LineStyle],
) -> None:
    for axes, column in zip(panels, grid.columns, strict=True):
        for row in grid.rows:
            if (row, column) in grid.cells:
                _replicate_lines(axes, results, grid.cells[row, column], metric, style[row])
        _epochs(axes, grid.column_title(column) if grid.column_factor else "Replicates")
    for line in lines:
        line[0].set_ylabel("Training loss" if metric == "loss" else f"Validation {results.plan.metric.capitalize()}")


def _replicate_lines(axes: Axes, results: StudyResults, cell: str, metric: str, line_style: LineStyle) -> None:
    histories = [results.history(job) for job in results.of_kind("replicate", cell)["id"]]
    curves = [history[metric].dropna() for history in histories if metric in history]
    for curve in curves:
        axes.plot(curve.index, curve, color=line_style.colour, lw=0.7, alpha=0.4)
    if curves:
        mean = pd.concat(curves, axis="columns", join="inner").mean(axis="columns")
        _line(axes, mean, line_style, 1.8)


def _line(axes: Axes, curve: pd.Series, line_style: LineStyle, width: float) -> None:
    """Draw a curve by epoch with a few markers, which distinguish it in greyscale."""
    spacing = max(1, -(-len(curve) // 5))
    axes.plot(
        curve.index,
        curve,
        color=line_style.colour,
        linestyle=line_style.dash,
        lw=width,
        marker=line_style.marker,
        markevery=spacing,
        ms=5,
    )


def _epochs(axes: Axes, title: str) -> None:
    axes.set_title(title)
    axes.set_xlabel("Epoch")
    if not axes.lines:
        axes.text(0.5, 0.5, "no results yet", transform=axes.transAxes, ha="center", va="center", color="#666666")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
