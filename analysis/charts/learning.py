"""Interactive learning curves of pretrainings and replicates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.charts.chart import Chart, Panel, Point, Series
from analysis.figures.style import LineStyle, line_styles
from analysis.io.load import StudyResults
from analysis.tables.grid import Grid

MOST_POINTS = 40
"""Largest number of epochs with a marker in one curve."""

MOST_LINES = 40
"""Largest number of jobs with a thin line of their own in one panel's series; means are over all."""

OTHER = LineStyle("#4d4d4d", "#ffffff", "o", "-")
"""Style of a pretraining whose method is no row of the grid."""


def learning_chart(results: StudyResults, grid: Grid) -> Chart | None:
    """Return the learning curves as a chart; None before the first epoch.

    A panel for each group of pretrainings that differ by their seed only shows the training loss, a panel for each
    column the replicates' validation metric, or their training loss where they were never validated. Thick lines are
    means over jobs up to the last epoch that all of them reached.
    """
    style = line_styles(grid.rows, grid.references.values())
    panels = [*_pretext_panels(results, style), *_replicate_panels(results, grid, style)]
    if not panels:
        return None
    caption = (
        "Learning curves: pretext loss of the pretrainings, then the replicates of each start on the validation "
        "images. Thick: mean of the jobs. Thin: each job"
    )
    thinned = any(len(each.thin) == MOST_LINES for panel in panels for each in panel.series)
    caption += f", at most {MOST_LINES} of a kind." if thinned else "."
    return Chart(caption, tuple(panels))


def _pretext_panels(results: StudyResults, style: dict[str, LineStyle]) -> list[Panel]:
    curves: dict[str, list[pd.Series]] = {}
    for job in results.of_kind("pretext")["id"]:
        curves.setdefault(results.name_of(job).group, []).extend(_curves(results, [job], "loss"))
    drawn = {group: curve_series(group, found, style.get(group, OTHER)) for group, found in curves.items()}
    return [
        Panel(f"Pretext loss: {group}", "Epoch", "Loss", (series,))
        for group, series in drawn.items()
        if series is not None
    ]


def _replicate_panels(results: StudyResults, grid: Grid, style: dict[str, LineStyle]) -> list[Panel]:
    metric = _metric(results)
    label = "Training loss" if metric == "loss" else f"Validation {results.plan.metric.capitalize()}"
    panels = []
    for column in grid.columns:
        cells = {row: grid.cells[row, column] for row in grid.rows if (row, column) in grid.cells}
        jobs = {row: list(results.of_kind("replicate", cell)["id"]) for row, cell in cells.items()}
        found = [curve_series(row, _curves(results, own, metric), style[row]) for row, own in jobs.items()]
        series = tuple(each for each in found if each is not None)
        title = f"Replicates{grid.at(column)}"
        panels += [Panel(title, "Epoch", label, series)] if series else []
    return panels


def curve_series(name: str, curves: Sequence[pd.Series], style: LineStyle) -> Series | None:
    """Return the mean of curves by epoch, with each of several as a thin line; None without a common epoch.

    Args:
        name: text of the legend entry.
        curves: values by epoch, one series for each job.
        style: colour and marker.
    """
    table = pd.concat(curves, axis="columns", join="inner").sort_index() if curves else pd.DataFrame()
    if table.empty:
        return None
    table = table.iloc[_spread(len(table), MOST_POINTS)]
    epochs, values = [int(epoch) for epoch in table.index], table.to_numpy(np.float64)
    points = tuple(_point(name, *each) for each in zip(epochs, values, strict=True))
    lines = values.T[_spread(values.shape[1], MOST_LINES)].tolist() if values.shape[1] > 1 else []
    thin = tuple(tuple(zip(map(float, epochs), line, strict=True)) for line in lines)
    return Series(name, style.colour, style.marker, points, joined=True, thin=thin)


def _spread(count: int, most: int) -> np.ndarray:
    """Return at most so many of the numbers below `count`, evenly spread from the first to the last."""
    kept: np.ndarray = np.linspace(0, count - 1, min(count, most)).round().astype(int)
    return kept


def _point(name: str, epoch: int, values: np.ndarray) -> Point:
    mean = float(values.mean())
    spread = f" (mean of {len(values)}, {values.min():.3f} to {values.max():.3f})" if len(values) > 1 else ""
    return Point(epoch, mean, f"{name}, epoch {epoch}: {mean:.3f}{spread}")


def _curves(results: StudyResults, jobs: Sequence[str], column: str) -> list[pd.Series]:
    histories = [results.history(job) for job in jobs]
    return [curve for each in histories if column in each and len(curve := each[column].dropna())]


def _metric(results: StudyResults) -> str:
    metric, replicates = f"val/{results.plan.metric}", results.of_kind("replicate")
    validated = metric in replicates and bool(replicates[metric].notna().any())
    return metric if validated or replicates.empty else "loss"
