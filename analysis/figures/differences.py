"""Figure of differences from the reference with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.style import new_figure, styled
from analysis.stats.comparisons import Comparison


def differences(comparisons: Sequence[Comparison]) -> Figure | None:
    """Plot mean differences in Dice with 95% intervals, one line per comparison and one panel per column.

    Points are filled where the difference is significant after Holm's adjustment. Where there are several pretrainings,
    a thick line is the interval given these. Return None without comparisons.
    """
    found = [each for each in comparisons if np.isfinite(each.difference.estimate.mean)]
    if not found:
        return None
    columns = list(dict.fromkeys(each.column_title for each in found))
    names = list(dict.fromkeys(_name(each) for each in found))
    given = any(each.difference.estimate.given is not None for each in found)
    with styled():
        figure = new_figure(min(3.4 * len(columns) + 2.0, 14.0), 1.2 + 0.3 * len(names))
        panels = figure.subplots(1, len(columns), squeeze=False, sharex=True, sharey=True)[0]
        for axes, column in zip(panels, columns, strict=True):
            axes.axvline(0, color="#666666", lw=1)
            for each in found:
                if each.column_title != column:
                    continue
                estimate, place = each.difference.estimate, names.index(_name(each))
                if estimate.known:
                    axes.plot([estimate.low, estimate.high], [place, place], color="#0072B2", lw=1.6)
                if estimate.given is not None:
                    axes.plot(estimate.given, [place, place], color="#0072B2", lw=4, solid_capstyle="butt", alpha=0.5)
                face = "#0072B2" if each.significant else "white"
                axes.plot(estimate.mean, place, "o", color="#0072B2", mfc=face, ms=6.5)
            axes.set_title(column)
            axes.set_xlabel("Difference in Dice" + ("\n(thick: given the pretrainings)" if given else ""))
            axes.grid(axis="y", visible=False)
        panels[0].set_yticks(range(len(names)), names)
        panels[0].set_ylim(len(names) - 0.5, -0.5)
    return figure


def _name(each: Comparison) -> str:
    """Return "row - reference", with the levels that both have named once before it."""
    row, reference = each.row.split(", "), each.reference.split(", ")
    shared = [level for level in row if level in reference]
    left, right = ([level for level in levels if level not in shared] for levels in (row, reference))
    if not shared or not left or not right:
        return f"{each.row} - {each.reference}"
    return f"{', '.join(shared)}: {', '.join(left)} - {', '.join(right)}"
