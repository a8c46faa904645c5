"""Figures of a search: importance, sensitivity, parallel coordinates and Pareto front."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from analysis.figures.legend import row_legend
from analysis.figures.style import line_styles, new_figure, panel_shape, panels_of, styled
from analysis.io.load import StudyResults
from analysis.stats.importance import PREFIX, importances, searched
from analysis.stats.pareto import pareto_front
from analysis.tables.cells import short_names
from analysis.tables.grid import Grid

MAX_COLUMNS = 3

COLOURS = "cividis"
"""Colour map that is colour-blind-safe and monotonic in greyscale."""


def importance(results: StudyResults, grid: Grid) -> Figure | None:
    """Plot each setting's fraction of the variance within cells; return None with too few completed trials."""
    shares = importances(results, list(grid.cells.values()))
    if not shares:
        return None
    short = short_names(list(shares))
    with styled(axes_grid=False):
        figure = new_figure(6.4, 0.8 + 0.34 * len(shares))
        axes = figure.add_subplot()
        names = list(reversed(shares))
        axes.barh([short[name] for name in names], [shares[name] for name in names], color="#0072B2", height=0.65)
        for place, name in enumerate(names):
            axes.text(shares[name] + 0.01, place, f"{shares[name]:.0%}", va="center", fontsize=9)
        axes.set_xlim(0, min(1.0, max(shares.values()) + 0.1))
        axes.set_xlabel(f"Share of the variance of validation {results.plan.metric.capitalize()}")
        axes.set_title("Importance of the searched settings (fANOVA)")
    return figure


def sensitivity(results: StudyResults, grid: Grid) -> Figure | None:
    """Plot every trial's validation metric against each setting, one panel per setting; pruned trials are hollow."""
    trials, names, metric = _trials(results, grid)
    if not names:
        return None
    style = line_styles(grid.rows, grid.references.values())
    short = short_names(names)
    down, across = panel_shape(len(names), MAX_COLUMNS)
    with styled():
        figure = new_figure(max(3.3 * across, 5.0), 2.7 * down + 0.5)
        panels, places = panels_of(figure, len(names), MAX_COLUMNS, sharey=True)
        for axes, name in zip(places, names, strict=True):
            scale = _Scale(trials[PREFIX + name], name in results.plan.logarithmic)
            for (row, complete), own in trials.groupby(
                [trials["cell"].map(grid.row_of), trials["status"] == "completed"]
            ):
                line_style = style[str(row)]
                x = scale.place(own[PREFIX + name])
                face = line_style.colour if complete else "none"
                axes.plot(x, own[metric], line_style.marker, color=line_style.colour, mfc=face, ms=4.5, alpha=0.75)
            scale.label(axes)
            axes.set_title(short[name])
        for line in panels:
            line[0].set_ylabel(f"Validation {results.plan.metric.capitalize()}")
        rows = [row for row in grid.rows if row in set(trials["cell"].map(grid.row_of))]
        row_legend(figure, rows, style, "One point per trial. Hollow: stopped early, last reported value.")
    return figure


def parallel_coordinates(results: StudyResults, grid: Grid) -> Figure | None:
    """Plot completed trials as lines through all their settings, coloured by their validation metric."""
    trials, names, metric = _trials(results, grid)
    trials = trials[trials["status"] == "completed"].dropna(subset=[metric]) if names else trials
    names = [name for name in names if trials[PREFIX + name].nunique() > 1]
    if len(names) < 2 or len(trials) < 2:
        return None
    short = short_names(names)
    scales = [_Scale(trials[PREFIX + name], name in results.plan.logarithmic) for name in names]
    places = [_between(scale.place(trials[PREFIX + n]), scale) for n, scale in zip(names, scales, strict=True)]
    value = trials[metric].to_numpy(np.float64)
    norm = Normalize(float(value.min()), float(value.max()))
    lines = np.column_stack([*places, norm(value)])
    colours = mpl.colormaps[COLOURS]
    with styled(axes_grid=False):
        figure = new_figure(min(1.7 * (len(names) + 1) + 1.0, 14.0), 4.0)
        axes = figure.add_subplot()
        for place in np.argsort(value):
            axes.plot(range(lines.shape[1]), lines[place], color=colours(norm(value[place])), lw=1.1, alpha=0.75)
        for x, scale in enumerate(scales):
            axes.axvline(x, color="#444444", lw=0.8)
            for at, text in scale.ticks():
                axes.text(x + 0.03, at, text, fontsize=8, va="center", bbox=_PATCH)
        axes.axvline(len(names), color="#444444", lw=0.8)
        axes.set_xticks(range(len(names) + 1), [*(short[name] for name in names), f"val {results.plan.metric}"])
        axes.set_yticks([])
        axes.set_ylim(-0.04, 1.04)
        axes.spines[:].set_visible(False)
        axes.set_title("Completed trials")
        figure.colorbar(ScalarMappable(norm, COLOURS), ax=axes, label=f"Validation {results.plan.metric.capitalize()}")
    return figure


def pareto(results: StudyResults, grid: Grid, objectives: Mapping[str, int]) -> Figure | None:
    """Plot completed trials by two objectives, with the Pareto front of each row.

    Args:
        results: results of the study.
        grid: arrangement of the cells; each row has its own line style.
        objectives: two metrics with their sign: 1 where lower is better, -1 where higher is.
    """
    trials = results.of_kind("trial")
    names = list(objectives)
    if len(names) != 2 or not set(names) <= set(trials.columns):
        return None
    trials = trials[(trials["status"] == "completed") & trials["cell"].isin(grid.cells.values())].dropna(subset=names)
    if trials.empty:
        return None
    style = line_styles(grid.rows, grid.references.values())
    with styled():
        figure = new_figure(6.4, 4.2)
        axes = figure.add_subplot()
        for row, own in trials.groupby(trials["cell"].map(grid.row_of)):
            line_style, points = style[str(row)], own[names].to_numpy(np.float64)
            kept = points[pareto_front(points * [objectives[name] for name in names])]
            kept = kept[np.argsort(kept[:, 0])]
            axes.plot(points[:, 0], points[:, 1], line_style.marker, color=line_style.colour, ms=4, alpha=0.35, mew=0)
            axes.plot(
                kept[:, 0],
                kept[:, 1],
                line_style.marker,
                color=line_style.colour,
                ls=line_style.dash,
                ms=7,
                mec="white",
            )
        axes.set(xlabel=names[0], ylabel=names[1], title="Pareto front of the trials")
        rows = [row for row in grid.rows if row in set(trials["cell"].map(grid.row_of))]
        row_legend(figure, rows, style, "Large: Pareto front. Small: other trials.")
    return figure


_PATCH = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6}


class _Scale:
    """Axis of one setting: linear, logarithmic or categorical."""

    def __init__(self, values: pd.Series, by_logarithm: bool) -> None:
        present = values.dropna()
        self.by_number = pd.api.types.is_numeric_dtype(present) and not pd.api.types.is_bool_dtype(present)
        self.by_logarithm = self.by_number and by_logarithm
        self.levels = [] if self.by_number else sorted(present.unique(), key=str)
        self.ends = (float(present.min()), float(present.max())) if self.by_number else (0.0, len(self.levels) - 1.0)

    def place(self, values: pd.Series) -> np.ndarray:
        """Return axis positions: numbers as they are, categories by index."""
        if self.by_number:
            return values.to_numpy(np.float64)
        return np.array([self.levels.index(v) if v in self.levels else np.nan for v in values], np.float64)

    def label(self, axes: Axes) -> None:
        """Apply this scale to the x axis."""
        if self.by_logarithm:
            axes.set_xscale("log")
        elif not self.by_number:
            axes.set_xticks(range(len(self.levels)), [str(level) for level in self.levels])

    def ticks(self) -> list[tuple[float, str]]:
        """Return tick positions in [0, 1] with their labels."""
        if not self.by_number:
            top = max(len(self.levels) - 1, 1)
            return [(number / top, str(level)) for number, level in enumerate(self.levels)]
        low, high = self.ends
        middle = (low * high) ** 0.5 if self.by_logarithm else (low + high) / 2
        return [(at, f"{value:.3g}") for at, value in ((0.0, low), (0.5, middle), (1.0, high))]


def _between(places: np.ndarray, scale: _Scale) -> np.ndarray:
    low, high = scale.ends
    if scale.by_logarithm:
        places, low, high = np.log(places), np.log(low), np.log(high)
    scaled: np.ndarray = (places - low) / (high - low)
    return scaled


def _trials(results: StudyResults, grid: Grid) -> tuple[pd.DataFrame, list[str], str]:
    """Return the grid's trials with a score, the searched settings, and the metric's column."""
    trials = results.of_kind("trial")
    trials = trials[trials["cell"].isin(grid.cells.values())]
    metric = f"val/{results.plan.metric}"
    if trials.empty or metric not in trials:
        return trials, [], metric
    trials = trials[trials["status"].isin(("completed", "stopped"))].dropna(subset=[metric])
    return trials, searched(trials), metric
