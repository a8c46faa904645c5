"""Interactive charts of a search: its history, each searched setting, and the settings' importance."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pandas as pd

from analysis.charts.chart import Chart, Panel, Point, Series
from analysis.figures.search import MATTERED, OTHER
from analysis.figures.style import LineStyle, line_styles
from analysis.io.load import StudyResults
from analysis.stats.importance import Importances, Share
from analysis.stats.setting_scale import setting_scale
from analysis.stats.trials import PREFIX, scored_trials, searched, thinned
from analysis.tables.cells import short_names
from analysis.tables.grid import Grid

STATUS = {"completed": "completed", "stopped": "stopped early"}
"""Statuses of trials with a value, in words."""

MOST_POINTS = 1200
"""Largest number of points in one chart, which bounds the size of the page."""


def history_chart(results: StudyResults, grid: Grid) -> Chart | None:
    """Return every trial's validation metric by the trial's number, one panel for each column; None without a trial."""
    every, metric = scored_trials(results, grid), f"val/{results.plan.metric}"
    trials = thinned(every, metric, MOST_POINTS // len(grid.columns))
    column_of = {cell: column for (_, column), cell in grid.cells.items()}
    panels = []
    for column in grid.columns:
        own = trials[trials["cell"].map(column_of) == column] if len(trials) else trials
        if len(own):
            series = _series(results, grid, own, own["index"].to_numpy(np.float64), _settings(own))
            panels.append(Panel(f"Search{grid.at(column)}", "Trial", _label(results), series))
    caption = (
        "Search history: validation metric of each trial by its number. Hollow: stopped early, last reported value."
    )
    absent = len(results.of_kind("trial")) - len(every)
    caption += f" Trials without a validation metric, not shown: {absent}." if absent else ""
    return Chart(caption + _shown(trials, every), tuple(panels)) if panels else None


def slice_chart(results: StudyResults, grid: Grid, column: str) -> Chart | None:
    """Return the trials of one column against each searched setting; None where nothing was searched."""
    every, metric = scored_trials(results, grid, column), f"val/{results.plan.metric}"
    names = searched(every)
    if not names:
        return None
    trials = thinned(every, metric, MOST_POINTS // len(names))
    short = short_names(names)
    panels = tuple(_slice(results, grid, trials, name, short[name]) for name in names)
    caption = f"Searched settings{grid.at(column)}: validation metric of each trial against one setting."
    return Chart(f"{caption} Hollow: stopped early.{_shown(trials, every)}", panels)


def importance_chart(found: Importances, metric: str) -> Chart | None:
    """Return the fraction of the variance that each setting explains, with intervals; None with too few trials."""
    if not found.shares:
        return None
    short = short_names([each.setting for each in found.shares])
    groups = {"above chance": (MATTERED, False), "not above chance": (OTHER, True)}
    series = []
    for name, (colour, hollow) in groups.items():
        points = tuple(
            Point(each.share, place, _share_text(short[each.setting], each), hollow, (each.low, each.high))
            for place, each in enumerate(found.shares)
            if (each not in found.mattered) == hollow
        )
        series += [Series(name, colour, "o", points)] if points else []
    caption = (
        f"Importance of the searched settings (fANOVA) with 95% intervals over {found.sample}. Dashed: what chance "
        "gives at most (95th percentile of a further, permuted setting). Filled: the whole interval exceeds it."
    )
    panel = Panel(
        "Importance of the searched settings",
        f"Share of the variance of validation {metric.capitalize()}",
        "",
        tuple(series),
        rows=tuple(short.values()),
        reference=found.chance,
        ends=(0.0, 1.0),
    )
    return Chart(caption, (panel,))


def _share_text(name: str, each: Share) -> str:
    return f"{name}: {each.share:.0%} (95% CI {each.low:.0%} to {each.high:.0%})"


def _slice(results: StudyResults, grid: Grid, trials: pd.DataFrame, name: str, title: str) -> Panel:
    scale = setting_scale(name, trials[PREFIX + name], results.plan.space)
    places = scale.place(trials[PREFIX + name])
    there = ~np.isnan(places)
    texts = [f"{title} {_value(value)}" for value in trials.loc[there, PREFIX + name]]
    series = _series(results, grid, trials[there], places[there], texts)
    ends = () if scale.choices else (scale.low, scale.high)
    return Panel(title, name, _label(results), series, scale.logarithmic, scale.names, ends=ends)


def _series(
    results: StudyResults, grid: Grid, trials: pd.DataFrame, places: np.ndarray, texts: list[str]
) -> tuple[Series, ...]:
    """Return a series for each row: trials at their places `(n,)`, each with a text of its settings."""
    style = line_styles(grid.rows, grid.references.values())
    metric = f"val/{results.plan.metric}"
    row_of = grid.row_of
    points: dict[str, list[Point]] = {}
    columns = (trials[name] for name in ("cell", "index", "status", metric))
    for cell, index, status, value, place, text in zip(*columns, places.tolist(), texts, strict=True):
        row = row_of[cell]
        words = f"{row}, trial {int(index)} ({STATUS[status]}): {metric} {value:.4f}; {text}"
        points.setdefault(row, []).append(Point(place, float(value), words, status != "completed"))
    return tuple(_row_series(row, style[row], points[row]) for row in grid.rows if row in points)


def _row_series(row: str, style: LineStyle, points: list[Point]) -> Series:
    return Series(row, style.colour, style.marker, tuple(points))


def _settings(trials: pd.DataFrame) -> list[str]:
    """Return the settings of each trial in words."""
    names = [name for name in trials.columns if str(name).startswith(PREFIX) and trials[name].notna().any()]
    short = short_names([str(name).removeprefix(PREFIX) for name in names])
    rows = zip(*(trials[name] for name in names), strict=True) if names else ((),) * len(trials)
    return [
        "; ".join(f"{n} {_value(v)}" for n, v in zip(short.values(), row, strict=True) if pd.notna(v)) for row in rows
    ]


def _value(value: Hashable) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _shown(trials: pd.DataFrame, every: pd.DataFrame) -> str:
    if len(trials) == len(every):
        return ""
    return f" Shown: {len(trials):,} of {len(every):,} trials, drawn at random, with the best of each cell."


def _label(results: StudyResults) -> str:
    return f"Validation {results.plan.metric.capitalize()}"
