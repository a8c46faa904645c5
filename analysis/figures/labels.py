"""Figures of Dice and label equivalence against the amount of labels."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.figures.dice_rows import dice_by_row
from analysis.figures.legend import row_legend
from analysis.figures.style import LineStyle, line_styles, new_figure, styled
from analysis.io.load import StudyResults
from analysis.stats.comparisons import estimate_of
from analysis.stats.intervals import Estimate
from analysis.stats.label_equivalence import LabelEquivalence
from analysis.tables.grid import FRACTION, Grid

MANY = 8
"""Number of rows above which the figure of Dice has a line for each."""

WIDE = 8
"""Ratio of the ends of the axis of label equivalence from which its ticks are powers of two."""

OFFSET = 0.03
"""Offset between rows at one column, as a share of the axis; neighbouring points of a figure do not touch."""


def dice_vs_labels(results: StudyResults, grid: Grid) -> Figure:
    """Plot mean test Dice with its 95% interval against the column factor, with one point per replicate.

    Amounts of labels are on a logarithmic axis; other levels are evenly spaced. Many rows stand below each other.
    """
    if len(grid.rows) > MANY:
        return dice_by_row(results, grid)
    style = line_styles(grid.rows, grid.references.values())
    with styled():
        figure = new_figure(min(max(6.4, 0.32 * len(grid.rows) * len(grid.columns)), 12.0), 4.2)
        axes = figure.add_subplot()
        positions = np.log(grid.amounts) if grid.amounts else np.arange(len(grid.columns), dtype=np.float64)
        step = _dodge(positions, len(grid.rows))
        estimates: list[tuple[float, Estimate, LineStyle]] = []
        for number, row in enumerate(grid.rows):
            places = positions + (number - (len(grid.rows) - 1) / 2) * step
            cells = {x: grid.cells[row, c] for x, c in zip(places, grid.columns, strict=True) if (row, c) in grid.cells}
            found = _row(axes, results, cells, style[row], 0.3 * step)
            estimates += [(x, estimate, style[row]) for x, estimate in found.items()]
        given = _full_intervals(axes, estimates)
        _label_axis(axes, grid, positions)
        axes.set_ylabel("Test Dice")
        axes.set_title(textwrap.fill(results.plan.title, 62), pad=10)
        caption = "Large: mean with 95% interval over subjects and replicates. Small: each replicate."
        if given:
            caption += " Thin lines: over pretrainings, too."
        row_legend(figure, grid.rows, style, caption)
    return figure


def label_equivalence_plot(grid: Grid, found: Sequence[LabelEquivalence]) -> Figure | None:
    """Plot the label equivalence of each pretraining, with intervals, against the amount of labels (log-log).

    An arrow marks an interval that ends at the largest measured amount. Return None without results.
    """
    found = [each for each in found if each.known]
    if not found:
        return None
    style = line_styles(grid.rows, grid.references.values())
    rows = list(dict.fromkeys(each.row for each in found))
    with styled():
        figure = new_figure(6.4, 3.6)
        axes = figure.add_subplot()
        shown = [column for column in grid.columns if any(each.column == column for each in found)]
        positions = np.log([float(column) for column in shown])
        step = _dodge(positions, len(rows))
        place = dict(zip(shown, positions, strict=True))
        for number, row in enumerate(rows):
            aside = (number - (len(rows) - 1) / 2) * step
            own = [each for each in found if each.row == row]
            x = [place[each.column] + aside for each in own]
            y = np.array([each.times for each in own])
            reach = np.abs(np.array([[each.low, each.high] for each in own]).T - y)
            line_style = style[row]
            axes.errorbar(
                x, y, reach, fmt=line_style.marker, color=line_style.colour, capsize=3.5, ms=7, mec="white", mew=0.9
            )
            for at, each in zip(x, own, strict=True):
                if each.high >= each.bounds[1]:
                    axes.annotate(
                        "\u2191", (at, each.high), (0, 3), textcoords="offset points", ha="center", fontsize=13
                    )
        axes.axhline(1, color="#666666", lw=1)
        axes.set_yscale("log", base=2)
        low, high = axes.get_ylim()
        wide = high / low > WIDE
        ticks = [2.0**power for power in range(-6, 7)] if wide else [0.5, 0.75, 1, 1.25, 1.5, 2, 3, 4]
        axes.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
        axes.set_xticks(positions, [grid.column_title(column) for column in shown])
        axes.set_xlim(positions.min() - 0.5, positions.max() + 0.5)
        axes.margins(y=0.15)
        axes.grid(axis="x", visible=False)
        axes.set_ylabel("Label equivalence")
        axes.set_title("Factor by which the reference needs more labels")
        row_legend(figure, rows, style, "95% intervals. Arrow: the upper bound exceeds the measured amounts.")
    return figure


def _row(
    axes: Axes, results: StudyResults, cells: Mapping[float, str], line_style: LineStyle, aside: float
) -> dict[float, Estimate]:
    """Draw one row: line, intervals, and its replicates, offset by `aside` so that the intervals do not hide them.

    Intervals are those given the pretrainings where there are several. Return the row's estimates by their place.
    """
    found: dict[float, Estimate] = {}
    for position, cell in cells.items():
        scores = results.dice(cell)
        if scores.empty:
            continue
        found[position] = estimate_of(results, cell)
        points = scores.mean(axis="columns")
        place = [position - aside] * len(points)
        axes.plot(place, points, line_style.marker, color=line_style.colour, alpha=0.6, ms=4.2, mew=0, zorder=2)
    if not found:
        return found
    x, y = list(found), np.array([estimate.mean for estimate in found.values()])
    bounds = [estimate.given or (estimate.low, estimate.high) for estimate in found.values()]
    reach = np.abs(np.array(bounds).T - y)
    axes.plot(x, y, color=line_style.colour, linestyle=line_style.dash, zorder=3)
    errors = {"yerr": reach, "capsize": 3.5, "elinewidth": 1.4}
    axes.errorbar(x, y, fmt=line_style.marker, color=line_style.colour, ms=7, mec="white", mew=0.9, zorder=4, **errors)
    return found


def _full_intervals(axes: Axes, estimates: Sequence[tuple[float, Estimate, LineStyle]]) -> bool:
    """Draw the intervals that cover the choice of pretrainings as thin lines; return True where there are any.

    They do not widen the axis: few pretrainings make them much longer than all else.
    """
    limits = axes.get_ylim()
    known = [each for each in estimates if each[1].given is not None and each[1].known]
    for x, estimate, line_style in known:
        axes.plot([x, x], [estimate.low, estimate.high], color=line_style.colour, lw=0.7, alpha=0.7, zorder=1)
    axes.set_ylim(limits)
    return bool(known)


def _dodge(positions: np.ndarray, rows: int) -> float:
    """Return the horizontal offset between rows at one column, so that their intervals do not overlap.

    It is a share of the axis, however many columns there are, and keeps the rows of neighbouring columns apart.
    """
    if len(positions) < 2:
        return min(OFFSET, 0.5 / rows)
    gap, span = float(np.diff(np.sort(positions)).min()), float(np.ptp(positions))
    return min(OFFSET * span, 0.5 * gap / rows)


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
