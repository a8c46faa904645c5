"""What a search has seen: which settings mattered, where each was good, and all of them together."""

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
from analysis.figures.style import looks, new_figure, panel_shape, panels_of, styled
from analysis.io.load import StudyResults
from analysis.stats.importance import PREFIX, importances, searched
from analysis.stats.pareto import front
from analysis.tables.cells import short_names
from analysis.tables.grid import Grid

ACROSS = 3

COLOURS = "cividis"
"""Told apart by colour-blind readers, and from dark to light in grey."""


def importance(results: StudyResults, grid: Grid) -> Figure | None:
    """A bar a setting: its share of what varies within a cell; None where too few trials are complete."""
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
    """A panel a setting: the validation metric of every trial against it; hollow where the pruner stopped the trial."""
    trials, names, metric = _trials(results, grid)
    if not names:
        return None
    style = looks(grid.rows, grid.references.values())
    short = short_names(names)
    down, across = panel_shape(len(names), ACROSS)
    with styled():
        figure = new_figure(max(3.3 * across, 5.0), 2.7 * down + 0.5)
        panels, places = panels_of(figure, len(names), ACROSS, sharey=True)
        for axes, name in zip(places, names, strict=True):
            scale = _Scale(trials[PREFIX + name], name in results.plan.logarithmic)
            for (row, complete), own in trials.groupby(
                [trials["cell"].map(grid.row_of), trials["status"] == "completed"]
            ):
                look = style[str(row)]
                x = scale.place(own[PREFIX + name])
                face = look.colour if complete else "none"
                axes.plot(x, own[metric], look.marker, color=look.colour, mfc=face, ms=4.5, alpha=0.75)
            scale.label(axes)
            axes.set_title(short[name])
        for line in panels:
            line[0].set_ylabel(f"Validation {results.plan.metric.capitalize()}")
        rows = [row for row in grid.rows if row in set(trials["cell"].map(grid.row_of))]
        row_legend(figure, rows, style, "A point a trial. Hollow: stopped early, where it was then.")
    return figure


def parallel_coordinates(results: StudyResults, grid: Grid) -> Figure | None:
    """A line a completed trial through all its settings to its validation metric, which colours it."""
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
    """Completed trials by two objectives, and those that no other of the same row beats in both, joined.

    Args:
        results: of the study.
        grid: whose rows tell the trials apart.
        objectives: two metrics and their sign: 1 where less is better, -1 where more is.
    """
    trials = results.of_kind("trial")
    names = list(objectives)
    if len(names) != 2 or not set(names) <= set(trials.columns):
        return None
    trials = trials[(trials["status"] == "completed") & trials["cell"].isin(grid.cells.values())].dropna(subset=names)
    if trials.empty:
        return None
    style = looks(grid.rows, grid.references.values())
    with styled():
        figure = new_figure(6.4, 4.2)
        axes = figure.add_subplot()
        for row, own in trials.groupby(trials["cell"].map(grid.row_of)):
            look, points = style[str(row)], own[names].to_numpy(np.float64)
            kept = points[front(points * [objectives[name] for name in names])]
            kept = kept[np.argsort(kept[:, 0])]
            axes.plot(points[:, 0], points[:, 1], look.marker, color=look.colour, ms=4, alpha=0.35, mew=0)
            axes.plot(kept[:, 0], kept[:, 1], look.marker, color=look.colour, ls=look.dash, ms=7, mec="white")
        axes.set(xlabel=names[0], ylabel=names[1], title="What no other trial beats in both")
        rows = [row for row in grid.rows if row in set(trials["cell"].map(grid.row_of))]
        row_legend(figure, rows, style, "Large and joined: the front. Small: the other trials.")
    return figure


_PATCH = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6}


class _Scale:
    """Where a setting's values lie on an axis: by number, by logarithm, or side by side."""

    def __init__(self, values: pd.Series, by_logarithm: bool) -> None:
        present = values.dropna()
        self.by_number = pd.api.types.is_numeric_dtype(present) and not pd.api.types.is_bool_dtype(present)
        self.by_logarithm = self.by_number and by_logarithm
        self.levels = [] if self.by_number else sorted(present.unique(), key=str)
        self.ends = (float(present.min()), float(present.max())) if self.by_number else (0.0, len(self.levels) - 1.0)

    def place(self, values: pd.Series) -> np.ndarray:
        """Numbers as they are, other values by their turn."""
        if self.by_number:
            return values.to_numpy(np.float64)
        return np.array([self.levels.index(v) if v in self.levels else np.nan for v in values], np.float64)

    def label(self, axes: Axes) -> None:
        """Make the x axis this scale's."""
        if self.by_logarithm:
            axes.set_xscale("log")
        elif not self.by_number:
            axes.set_xticks(range(len(self.levels)), [str(level) for level in self.levels])

    def ticks(self) -> list[tuple[float, str]]:
        """Places between 0 and 1, and what is there."""
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
    """Trials of the grid that have a score, the settings that were searched, and the metric's column."""
    trials = results.of_kind("trial")
    trials = trials[trials["cell"].isin(grid.cells.values())]
    metric = f"val/{results.plan.metric}"
    if trials.empty or metric not in trials:
        return trials, [], metric
    trials = trials[trials["status"].isin(("completed", "stopped"))].dropna(subset=[metric])
    return trials, searched(trials), metric
