"""Interactive charts of a search: its history, and the validation metric against each searched setting."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import pandas as pd

from analysis.charts.chart import Chart, Panel, Point, Series
from analysis.figures.style import LineStyle, line_styles
from analysis.io.load import StudyResults
from analysis.stats.importance import PREFIX, searched
from analysis.tables.cells import short_names
from analysis.tables.grid import Grid

STATUS = {"completed": "completed", "stopped": "stopped early"}
"""Trials with a value, and their status in words."""


def history_chart(results: StudyResults, grid: Grid) -> Chart | None:
    """Return every trial's validation metric by the trial's number, one panel for each column; None without a trial."""
    trials = _trials(results, grid)
    column_of = {cell: column for (_, column), cell in grid.cells.items()}
    panels = []
    for column in grid.columns:
        own = trials[trials["cell"].map(column_of) == column] if len(trials) else trials
        if len(own):
            series = _series(results, grid, own, lambda trial: float(trial["index"]))
            panels.append(Panel(f"Search{grid.at(column)}", "Trial", _label(results), series))
    caption = (
        "Search history: validation metric of each trial by its number. Hollow: stopped early, last reported value."
    )
    absent = len(results.of_kind("trial")) - len(trials)
    caption += f" Trials without a validation metric, not shown: {absent}." if absent else ""
    return Chart(caption, tuple(panels)) if panels else None


def slice_chart(results: StudyResults, grid: Grid) -> Chart | None:
    """Return every trial's validation metric against each searched setting; None where nothing was searched."""
    trials = _trials(results, grid)
    names = searched(trials) if len(trials) else []
    short = setting_names(names)
    panels = tuple(_slice(results, grid, trials.dropna(subset=[PREFIX + name]), name, short[name]) for name in names)
    caption = "Searched settings: validation metric of each trial against one setting. Hollow: stopped early."
    return Chart(caption, panels) if panels else None


def setting_names(paths: list[str]) -> dict[str, str]:
    """Return a short unambiguous name of each dotted path; a number keeps the name before it.

    Example:
        >>> setting_names(["augment.crop.area.0", "augment.strength"])
        {'augment.crop.area.0': 'area.0', 'augment.strength': 'strength'}
    """
    short = short_names(paths)
    return {path: ".".join(path.split(".")[-2:]) if name.isdigit() else name for path, name in short.items()}


def _slice(results: StudyResults, grid: Grid, trials: pd.DataFrame, name: str, title: str) -> Panel:
    values = trials[PREFIX + name]
    by_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    by_number = by_number or all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    levels = () if by_number else tuple(sorted({str(value) for value in values}))
    place = _level_of(PREFIX + name, levels) if levels else lambda trial: float(trial[PREFIX + name])
    logarithmic = by_number and name in results.plan.logarithmic
    return Panel(title, name, _label(results), _series(results, grid, trials, place), logarithmic, levels)


def _level_of(column: str, levels: tuple[str, ...]) -> Callable[[pd.Series], float]:
    return lambda trial: float(levels.index(str(trial[column])))


def _series(
    results: StudyResults, grid: Grid, trials: pd.DataFrame, place: Callable[[pd.Series], float]
) -> tuple[Series, ...]:
    style = line_styles(grid.rows, grid.references.values())
    metric = f"val/{results.plan.metric}"
    rows = trials["cell"].map(grid.row_of)
    return tuple(
        _row_series(row, style[row], trials[rows == row], place, metric) for row in grid.rows if (rows == row).any()
    )


def _row_series(
    row: str, style: LineStyle, trials: pd.DataFrame, place: Callable[[pd.Series], float], metric: str
) -> Series:
    points = tuple(
        Point(place(trial), float(trial[metric]), _text(row, trial, metric), trial["status"] != "completed")
        for _, trial in trials.iterrows()
    )
    return Series(row, style.colour, style.marker, points)


def _text(row: str, trial: pd.Series, metric: str) -> str:
    """Return a trial's number, metric, status and settings in words."""
    names = [name for name in trial.index if str(name).startswith(PREFIX) and not pd.isna(trial[name])]
    short = setting_names([str(name).removeprefix(PREFIX) for name in names])
    settings = "; ".join(f"{short[str(name).removeprefix(PREFIX)]} {_value(trial[name])}" for name in names)
    return f"{row}, trial {int(trial['index'])} ({STATUS[trial['status']]}): {metric} {trial[metric]:.4f}; {settings}"


def _value(value: Hashable) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _trials(results: StudyResults, grid: Grid) -> pd.DataFrame:
    """Return the grid's trials that have a validation metric."""
    trials, metric = results.of_kind("trial"), f"val/{results.plan.metric}"
    if trials.empty or metric not in trials:
        return trials.iloc[:0]
    return trials[trials["cell"].isin(grid.cells.values()) & trials["status"].isin(STATUS)].dropna(subset=[metric])


def _label(results: StudyResults) -> str:
    return f"Validation {results.plan.metric.capitalize()}"
