"""Learning curves of pretrainings and replicates."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.legend import row_legend
from analysis.figures.style import LineStyle, line_styles, new_figure, styled
from analysis.io.load import StudyResults
from analysis.tables.grid import Grid


def learning_curves(results: StudyResults, grid: Grid) -> Figure:
    """Plot pretext loss by epoch, one panel per method, and below the replicates' validation metric, one per column.

    Replicates that were never validated show their training loss instead. Thin lines are single jobs; the thick line is
    the replicates' mean up to the last epoch that all of them reached.
    """
    style = line_styles(grid.rows, grid.references.values())
    pretext = _pretext_histories(results)
    metric = _metric(results)
    wide = max(len(pretext), len(grid.columns), 2)
    bands = [band for band, there in (("pretext", bool(pretext)), ("replicates", True)) if there]
    with styled():
        figure = new_figure(min(3.1 * wide, 14.0), 2.6 * len(bands) + 0.5)
        parts = figure.subfigures(len(bands), 1, squeeze=False)[:, 0]
        for part, band in zip(parts, bands, strict=True):
            if band == "pretext":
                _pretext_panels(part.subplots(1, len(pretext), squeeze=False)[0], pretext, style)
            else:
                panels = part.subplots(1, len(grid.columns), squeeze=False, sharey=True)[0]
                _replicate_panels(panels, results, grid, metric, style)
        row_legend(figure, grid.rows, style, "Thick: mean of the replicates. Thin: each replicate.")
    return figure


def pretext_name(job: str) -> str:
    """Return the method in a pretraining's id.

    Example:
        >>> pretext_name("pretext-simclr-4814fd0aa2b1")
        'simclr'
    """
    match = re.fullmatch(r"pretext-(.+)-[0-9a-f]+", job)
    return match[1] if match else job


def _metric(results: StudyResults) -> str:
    """Return the metric of the replicates' curves: that of validation, or the training loss without validation."""
    metric, replicates = f"val/{results.plan.metric}", results.of_kind("replicate")
    validated = metric in replicates and bool(replicates[metric].notna().any())
    return metric if validated or replicates.empty else "loss"


def _pretext_histories(results: StudyResults) -> dict[str, list[pd.Series]]:
    """Return the training losses of each pretext method, one series per job."""
    found: dict[str, list[pd.Series]] = {}
    for job in results.of_kind("pretext")["id"]:
        history = results.history(job)
        if "loss" in history:
            found.setdefault(pretext_name(job), []).append(history["loss"].dropna())
    return found


def _pretext_panels(panels: np.ndarray, pretext: Mapping[str, list[pd.Series]], style: Mapping[str, LineStyle]) -> None:
    other = LineStyle("#4d4d4d", "#ffffff", "o", "-")
    for axes, (method, losses) in zip(panels, pretext.items(), strict=True):
        line_style = style.get(method, other)
        for loss in losses:
            _line(axes, loss, line_style, 1.8 if len(losses) == 1 else 0.9)
        _epochs(axes, f"Pretext loss: {method}")
    panels[0].set_ylabel("Loss")


def _replicate_panels(
    panels: np.ndarray, results: StudyResults, grid: Grid, metric: str, style: Mapping[str, LineStyle]
) -> None:
    for axes, column in zip(panels, grid.columns, strict=True):
        for row in grid.rows:
            if (row, column) in grid.cells:
                _replicate_lines(axes, results, grid.cells[row, column], metric, style[row])
        _epochs(axes, grid.column_title(column) if grid.column_factor else "Replicates")
    panels[0].set_ylabel("Training loss" if metric == "loss" else f"Validation {results.plan.metric.capitalize()}")


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
