"""Trials of a search that have a value, and the settings that were searched."""

from __future__ import annotations

import pandas as pd

from analysis.io.load import StudyResults
from analysis.tables.grid import Grid
from trainables.common.seeds import numpy_generator

PREFIX = "param/"
"""Start of the name of a column of searched values."""

SCORED = ("completed", "stopped")
"""Statuses of trials with a value."""


def searched(trials: pd.DataFrame) -> list[str]:
    """Return the dotted paths that at least half of the trials set and that took more than one value."""
    names = [name for name in trials.columns if name.startswith(PREFIX)]
    found = [name for name in names if trials[name].notna().mean() >= 0.5 and trials[name].nunique() > 1]
    return [name.removeprefix(PREFIX) for name in found]


def scored_trials(results: StudyResults, grid: Grid, column: str | None = None) -> pd.DataFrame:
    """Return the grid's trials that have a validation metric, of one column or of all.

    Trials that were stopped early are among them, with their last value.
    """
    trials, metric = results.of_kind("trial"), f"val/{results.plan.metric}"
    if trials.empty or metric not in trials:
        return trials.iloc[:0]
    cells = [cell for (_, level), cell in grid.cells.items() if column is None or level == column]
    return trials[trials["cell"].isin(cells) & trials["status"].isin(SCORED)].dropna(subset=[metric])


def thinned(trials: pd.DataFrame, metric: str, most: int) -> pd.DataFrame:
    """Return at most so many trials, in order: the best of each cell, and others drawn at random.

    Args:
        trials: trials with a value of the metric, higher is better.
        metric: column of the metric.
        most: largest number of trials; the best of the cells are returned even if they are more.
    """
    if len(trials) <= most:
        return trials
    best = set(trials.groupby("cell")[metric].idxmax())
    order = numpy_generator(0, "charts", "trials").permutation(len(trials))
    rest = [each for each in trials.index[order] if each not in best]
    return trials.loc[sorted([*best, *rest[: max(0, most - len(best))]])]
