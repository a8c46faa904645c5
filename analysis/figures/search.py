"""Figures of a search: importance, sensitivity, parallel coordinates and Pareto front."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.legend import row_legend
from analysis.figures.style import LineStyle, line_styles, new_figure, panel_shape, panels_of, styled
from analysis.io.load import StudyResults
from analysis.stats.importance import Importances
from analysis.stats.pareto import pareto_front
from analysis.stats.setting_scale import SettingScale, setting_scale
from analysis.stats.trials import PREFIX, scored_trials, searched, thinned
from analysis.tables.cells import short_names
from analysis.tables.grid import Grid

MAX_COLUMNS = 3

COLOURS = "cividis"
"""Colour map that is colour-blind-safe and monotonic in greyscale."""

MATTERED, OTHER = "#0072B2", "#7a7a7a"
"""Colours of settings above chance, and of all others."""

MANY = 500
"""Number of trials above which PDF files hold their marks as pixels."""

MOST_LINES = 200
"""Largest number of trials with a line in parallel coordinates, where more hide each other."""

_PATCH = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6}


def importance(found: Importances, metric: str) -> Figure | None:
    """Plot the fraction of the variance within cells that each setting explains; None with too few trials.

    Args:
        found: importance of every searched setting.
        metric: name of the validation metric.
    """
    if not found.shares:
        return None
    short = short_names([each.setting for each in found.shares])
    with styled(axes_grid=False):
        figure = new_figure(6.4, 1.5 + 0.34 * len(found.shares))
        axes = figure.add_subplot()
        for place, each in enumerate(reversed(found.shares)):
            filled = each in found.mattered
            colour = MATTERED if filled else OTHER
            axes.plot([each.low, each.high], [place, place], color=colour, lw=1.6, solid_capstyle="butt")
            axes.plot(each.share, place, "o", color=colour, mfc=colour if filled else "white", ms=6.5)
        axes.axvline(found.chance, color="#444444", ls=(0, (5, 3)), lw=1)
        axes.set_yticks(range(len(short)), [short[each.setting] for each in reversed(found.shares)])
        axes.set_ylim(-0.6, len(short) - 0.4)
        axes.set_xlim(0, 1)
        axes.set_xlabel(f"Share of the variance of validation {metric.capitalize()}")
        axes.set_title("Importance of the searched settings (fANOVA)")
        handles = [
            Line2D([], [], color=MATTERED, marker="o", ms=6.5, label="above chance"),
            Line2D([], [], color=OTHER, marker="o", ms=6.5, mfc="white", label="not above chance"),
            Line2D([], [], color="#444444", ls=(0, (5, 3)), lw=1, label="chance"),
        ]
        caption = f"95% intervals over {found.sample}. Above chance: the whole interval is."
        figure.legend(handles=handles, loc="outside lower center", ncols=3, title=caption, title_fontsize=8.5)
    return figure


def sensitivity(results: StudyResults, grid: Grid, column: str) -> Figure | None:
    """Plot every trial of one column against each setting, one panel per setting; None where nothing was searched.

    Axes show the whole range that was searched. Pruned trials are hollow.
    """
    trials, metric = scored_trials(results, grid, column), f"val/{results.plan.metric}"
    names = searched(trials)
    if not names:
        return None
    style = line_styles(grid.rows, grid.references.values())
    short = short_names(names)
    down, across = panel_shape(len(names), MAX_COLUMNS)
    rows = trials["cell"].map(grid.row_of)
    with styled():
        figure = new_figure(max(3.3 * across, 5.0), 2.7 * down + 0.5)
        panels, places = panels_of(figure, len(names), MAX_COLUMNS, sharey=True)
        for axes, name in zip(places, names, strict=True):
            scale = setting_scale(name, trials[PREFIX + name], results.plan.space)
            for (row, complete), own in trials.groupby([rows, trials["status"] == "completed"]):
                line_style = style[str(row)]
                x = scale.place(own[PREFIX + name])
                face = line_style.colour if complete else "none"
                axes.plot(
                    x,
                    own[metric],
                    line_style.marker,
                    color=line_style.colour,
                    mfc=face,
                    ms=4.5 if len(trials) <= MANY else 2.5,
                    alpha=0.75,
                    rasterized=len(trials) > MANY,
                )
            _label(axes, scale)
            axes.set_title(short[name])
        for line in panels:
            line[0].set_ylabel(f"Validation {results.plan.metric.capitalize()}")
        shown = [row for row in grid.rows if row in set(rows)]
        if grid.column_factor is not None:
            figure.suptitle(f"Trials{grid.at(column)}", x=0.01, ha="left", fontsize=11, fontweight="bold")
        row_legend(figure, shown, style, "One point per trial. Hollow: stopped early, last reported value.")
    return figure


def parallel_coordinates(results: StudyResults, grid: Grid, column: str) -> Figure | None:
    """Plot completed trials of one column as lines through all their settings, coloured by their validation metric.

    Of more than `MOST_LINES` trials so many are drawn at random, with the best of each cell; the title says so.
    """
    trials, metric = scored_trials(results, grid, column), f"val/{results.plan.metric}"
    trials = trials[trials["status"] == "completed"] if len(trials) else trials
    names = searched(trials)
    if len(names) < 2 or len(trials) < 2:
        return None
    short, completed = short_names(names), len(trials)
    trials = thinned(trials, metric, MOST_LINES)
    scales = [setting_scale(name, trials[PREFIX + name], results.plan.space) for name in names]
    places = [scale.fraction(scale.place(trials[PREFIX + n])) for n, scale in zip(names, scales, strict=True)]
    value = trials[metric].to_numpy(np.float64)
    norm = Normalize(float(value.min()), float(value.max()))
    lines = np.column_stack([*places, norm(value)])[np.argsort(value)]  # the best on top
    with styled(axes_grid=False):
        figure = new_figure(min(1.7 * (len(names) + 1) + 1.0, 14.0), 4.0)
        axes = figure.add_subplot()
        across = np.broadcast_to(np.arange(lines.shape[1]), lines.shape)
        colours = mpl.colormaps[COLOURS](norm(np.sort(value)))
        drawn = LineCollection(list(np.stack([across, lines], axis=2)), colors=colours, linewidths=1.1, alpha=0.75)
        axes.add_collection(drawn)
        for x, scale in enumerate(scales):
            axes.axvline(x, color="#444444", lw=0.8)
            for place, text in scale.ticks():
                axes.text(x + 0.03, float(scale.fraction(place)), text, fontsize=8, va="center", bbox=_PATCH)
        axes.axvline(len(names), color="#444444", lw=0.8)
        axes.set_xticks(range(len(names) + 1), [*(short[name] for name in names), f"val {results.plan.metric}"])
        axes.set_yticks([])
        axes.set_xlim(-0.2, len(names) + 0.2)
        axes.set_ylim(-0.04, 1.04)
        axes.spines[:].set_visible(False)
        shown = f": {len(trials)} of {completed:,}, at random with the best" if len(trials) < completed else ""
        axes.set_title(f"Completed trials{grid.at(column)}{shown}")
        figure.colorbar(ScalarMappable(norm, COLOURS), ax=axes, label=f"Validation {results.plan.metric.capitalize()}")
    return figure


def pareto(results: StudyResults, grid: Grid, objectives: Mapping[str, int]) -> Figure | None:
    """Plot completed trials by two objectives, with the Pareto front of each row, a panel for each column.

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
    columns = [c for c in grid.columns if trials["cell"].isin([grid.cells.get((row, c)) for row in grid.rows]).any()]
    with styled():
        figure = new_figure(max(6.4, 3.6 * len(columns)), 4.2)
        panels = figure.subplots(1, len(columns), squeeze=False, sharex=True, sharey=True)[0]
        for axes, column in zip(panels, columns, strict=True):
            for row in grid.rows:
                own = trials[trials["cell"] == grid.cells.get((row, column))]
                points = own[names].to_numpy(np.float64)
                if len(points):
                    _front(
                        axes, points, [objectives[name] for name in names], style[row], rasterized=len(trials) > MANY
                    )
            axes.set(xlabel=names[0], title=grid.column_title(column) if grid.column_factor is not None else "")
        panels[0].set_ylabel(names[1])
        figure.suptitle("Pareto front of the trials", x=0.01, ha="left", fontsize=11, fontweight="bold")
        rows = [row for row in grid.rows if row in set(trials["cell"].map(grid.row_of))]
        row_legend(figure, rows, style, "Large: Pareto front. Small: other trials.")
    return figure


def _front(axes: Axes, points: np.ndarray, signs: list[int], line_style: LineStyle, *, rasterized: bool) -> None:
    """Draw the trials of one cell, and their Pareto front as a line."""
    kept = points[pareto_front(points * signs)]
    kept = kept[np.argsort(kept[:, 0])]
    marker, colour = line_style.marker, line_style.colour
    axes.plot(*points.T, marker, color=colour, ms=4, alpha=0.35, mew=0, rasterized=rasterized)
    axes.plot(*kept.T, marker, color=colour, ls=line_style.dash, ms=7, mec="white")


def _label(axes: Axes, scale: SettingScale) -> None:
    """Apply a setting's scale to the x axis."""
    if scale.choices:
        long = sum(map(len, scale.names)) > 24
        axes.set_xticks(range(len(scale.choices)), scale.names)
        if long:
            axes.tick_params("x", rotation=25)
        axes.set_xlim(-0.5, scale.high + 0.5)
        return
    if scale.logarithmic:
        axes.set_xscale("log")
    axes.set_xlim(*_widened(scale))


def _widened(scale: SettingScale) -> tuple[float, float]:
    """Return the ends of a scale with a margin of 4%."""
    low, high = scale.bounds
    room = 0.04 * (high - low) or 0.5
    ends = (low - room, high + room)
    return (float(np.exp(ends[0])), float(np.exp(ends[1]))) if scale.logarithmic else ends
