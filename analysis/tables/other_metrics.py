"""Table of the test metrics beside Dice: surface distances, and those that the study names."""

from __future__ import annotations

import pandas as pd

from analysis.io.load import StudyResults
from analysis.stats.intervals import Estimate
from analysis.tables.grid import Grid
from analysis.tables.measures import measure_estimate
from analysis.tables.table import Entry, Table

TITLES = {"hausdorff95": "HD95 (mm)", "mean_absolute": "mean distance (mm)"}
"""Column title of a metric; a metric of a study has its name."""

UNSHOWN = ("dice", "hausdorff", "mean_contour")
"""Metrics that stand elsewhere, or say the same as one that is shown."""


def other_metrics(images: pd.DataFrame) -> list[str]:
    """Return the names of the metrics that a table of images has a value of, in its order."""
    named = [name for name in images.columns if "/" in name and images[name].notna().any()]
    return [name for name in dict.fromkeys(name.partition("/")[0] for name in named) if name not in UNSHOWN]


def other_metrics_table(results: StudyResults, grid: Grid) -> Table | None:
    """Return mean and 95% interval of each metric by cell; None where Dice is the only one.

    A subject's value is the mean over its images and classes, as for Dice.
    """
    measures = other_metrics(results.images)
    if not measures:
        return None
    body, data = [], []
    for (row, column), cell in grid.cells.items():
        found = {name: measure_estimate(results, cell, name) for name in measures}
        title = f"{row}, {grid.column_title(column)}" if len(grid.columns) > 1 else row
        body.append((Entry(title), *(_entry(each) for each in found.values())))
        for name, each in found.items():
            values = {"mean": each.mean, "ci_low": each.low, "ci_high": each.high}
            data.append({**results.plan.cells[cell], "measure": name, **values})
    header = (grid.row_header, *(TITLES.get(name, name) for name in measures))
    note = "Means over subjects and replicates, with the model of the table of Dice; test.csv has each image's values."
    return Table("Other metrics of the test images (mean, 95% CI)", header, tuple(body), (note,), pd.DataFrame(data))


def _entry(estimate: Estimate) -> Entry:
    if not estimate.n_subjects:
        return Entry("-")
    bounds = f" ({estimate.low:.3g} to {estimate.high:.3g})" if estimate.known else ""
    return Entry(f"{estimate.mean:.3g}{bounds}")
