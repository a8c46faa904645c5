"""Figures of a study: Dice against the amount of labels, and learning curves."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from analysis.comparisons import estimate_of
from analysis.grid import FRACTION, Grid
from analysis.load import StudyResults
from analysis.statistics import Estimate
from analysis.style import Look, looks, new_figure, styled


def dice_vs_labels(results: StudyResults, grid: Grid) -> Figure:
    """Mean test Dice with its 95% interval against the column factor, every replicate as a point.

    Amounts are on a logarithmic axis; levels that are no amounts are set side by side.
    """
    style = looks(grid.rows, grid.references.values())
    with styled():
        figure = new_figure(min(max(6.4, 0.32 * len(grid.rows) * len(grid.columns)), 12.0), 4.2)
        axes = figure.add_subplot()
        positions = np.log(grid.amounts) if grid.amounts else np.arange(len(grid.columns), dtype=np.float64)
        step = _dodge(positions, len(grid.rows))
        for number, row in enumerate(grid.rows):
            places = positions + (number - (len(grid.rows) - 1) / 2) * step
            cells = {x: grid.cells[row, c] for x, c in zip(places, grid.columns, strict=True) if (row, c) in grid.cells}
            _row(axes, results, cells, style[row], 0.3 * step)
        _label_axis(axes, grid, positions)
        axes.set_ylabel("Test Dice")
        axes.set_title(results.plan.title, pad=10)
        _legend(
            figure, grid, style, "Large: mean with 95% interval over subjects and replicates. Small: each replicate."
        )
    return figure


def learning_curves(results: StudyResults, grid: Grid) -> Figure:
    """Pretext loss by epoch, a panel a method, and below it the replicates' validation metric, a panel a column.

    Thin lines are single jobs; the thick line is the replicates' mean up to the last epoch that all of them reached.
    """
    style = looks(grid.rows, grid.references.values())
    pretext = _pretext_histories(results)
    metric = f"val/{results.plan.metric}"
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
        _legend(figure, grid, style, "Thick: mean of the replicates. Thin: each replicate.")
    return figure


def pretext_name(job: str) -> str:
    """The method in a pretraining's id, "pretext-<method>-<digest>"; the id itself when it is of another form."""
    match = re.fullmatch(r"pretext-(.+)-[0-9a-f]+", job)
    return match[1] if match else job


def _row(axes: Axes, results: StudyResults, cells: Mapping[float, str], look: Look, aside: float) -> None:
    """A row by position: line, intervals, and its replicates, set `aside` from the intervals that would hide them."""
    found: dict[float, Estimate] = {}
    for position, cell in cells.items():
        scores = results.dice(cell)
        if scores.empty:
            continue
        found[position] = estimate_of(results, cell)
        points = scores.mean(axis="columns")
        place = [position - aside] * len(points)
        axes.plot(place, points, look.marker, color=look.colour, alpha=0.6, ms=4.2, mew=0, zorder=2)
    if not found:
        return
    x, y = list(found), np.array([estimate.mean for estimate in found.values()])
    reach = np.abs(np.array([[estimate.low, estimate.high] for estimate in found.values()]).T - y)
    axes.plot(x, y, color=look.colour, linestyle=look.dash, zorder=3)
    errors = {"yerr": reach, "capsize": 3.5, "elinewidth": 1.4}
    axes.errorbar(x, y, fmt=look.marker, color=look.colour, ms=7, mec="white", mew=0.9, zorder=4, **errors)


def _dodge(positions: np.ndarray, rows: int) -> float:
    """How far apart rows stand at one column, so that their intervals do not hide each other."""
    gap = float(np.diff(np.sort(positions)).min()) if len(positions) > 1 else 1.0
    return gap * min(0.15, 0.7 / rows)


def _label_axis(axes: Axes, grid: Grid, positions: np.ndarray) -> None:
    fraction = grid.column_factor == FRACTION and bool(grid.amounts)
    names = [f"{100 * amount:g}%" for amount in grid.amounts] if fraction else list(grid.columns)
    axes.xaxis.set_major_locator(FixedLocator(list(positions)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels(names)
    if len(positions) == 1:
        axes.set_xlim(positions[0] - 1, positions[0] + 1)
    suffix = " (log scale)" if grid.amounts and len(grid.amounts) > 1 else ""
    axes.set_xlabel(("Labelled training subjects" if fraction else grid.column_factor or "") + suffix)
    axes.grid(axis="x", visible=False)


def _pretext_histories(results: StudyResults) -> dict[str, list[pd.Series]]:
    """Each pretext method's training losses, one series a job."""
    found: dict[str, list[pd.Series]] = {}
    for job in results.of_kind("pretext")["id"]:
        history = results.history(job)
        if "loss" in history:
            found.setdefault(pretext_name(job), []).append(history["loss"].dropna())
    return found


def _pretext_panels(panels: np.ndarray, pretext: Mapping[str, list[pd.Series]], style: Mapping[str, Look]) -> None:
    other = Look("#4d4d4d", "#ffffff", "o", "-")
    for axes, (method, losses) in zip(panels, pretext.items(), strict=True):
        look = style.get(method, other)
        for loss in losses:
            _line(axes, loss, look, 1.8 if len(losses) == 1 else 0.9)
        _epochs(axes, f"Pretext loss: {method}")
    panels[0].set_ylabel("Loss")


def _replicate_panels(
    panels: np.ndarray, results: StudyResults, grid: Grid, metric: str, style: Mapping[str, Look]
) -> None:
    for axes, column in zip(panels, grid.columns, strict=True):
        for row in grid.rows:
            if (row, column) in grid.cells:
                _replicate_lines(axes, results, grid.cells[row, column], metric, style[row])
        _epochs(axes, grid.column_title(column) if grid.column_factor else "Replicates")
    panels[0].set_ylabel("Validation " + results.plan.metric.capitalize())


def _replicate_lines(axes: Axes, results: StudyResults, cell: str, metric: str, look: Look) -> None:
    histories = [results.history(job) for job in results.of_kind("replicate", cell)["id"]]
    curves = [history[metric].dropna() for history in histories if metric in history]
    for curve in curves:
        axes.plot(curve.index, curve, color=look.colour, lw=0.7, alpha=0.4)
    if curves:
        mean = pd.concat(curves, axis="columns", join="inner").mean(axis="columns")
        _line(axes, mean, look, 1.8)


def _line(axes: Axes, curve: pd.Series, look: Look, width: float) -> None:
    """A curve by epoch with a few markers, which tell it apart in grey."""
    every = max(1, -(-len(curve) // 5))
    axes.plot(
        curve.index, curve, color=look.colour, linestyle=look.dash, lw=width, marker=look.marker, markevery=every, ms=5
    )


def _epochs(axes: Axes, title: str) -> None:
    axes.set_title(title)
    axes.set_xlabel("Epoch")
    if not axes.lines:
        axes.text(0.5, 0.5, "nothing yet", transform=axes.transAxes, ha="center", va="center", color="#666666")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def _legend(figure: Figure, grid: Grid, style: Mapping[str, Look], caption: str) -> None:
    """In its own strip below the axes, where it hides no data."""
    handles = [
        Line2D([], [], color=style[row].colour, linestyle=style[row].dash, marker=style[row].marker, label=row, ms=6)
        for row in grid.rows
    ]
    columns = min(len(handles), 4)
    figure.legend(
        handles=handles, loc="outside lower center", ncols=columns, handlelength=3.2, title=caption, title_fontsize=8.5
    )
