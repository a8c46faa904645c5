"""Fewest labels that are enough, by non-inferiority to the most labels that a study tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from analysis.io.load import StudyResults
from analysis.stats.comparisons import difference_of
from analysis.stats.intervals import Difference, Estimate
from analysis.stats.sample_size import needed_text
from analysis.tables.grid import Grid
from trainables.common.label_counts import LabelCounts

MARGIN = 0.02
"""Default non-inferiority margin in Dice."""


@dataclass(frozen=True)
class MinimalLabels:
    """Smallest number of labels that is non-inferior to the largest.

    Attributes:
        row: title of the grid's row.
        most: column with the most labels.
        fewest: column with the fewest labels that are enough; `most` where fewer are not shown to be; None where fewer
            labels reach more Dice than the most, so that the question has no answer.
        margin: non-inferiority margin in Dice.
        differences: paired difference of each smaller column from `most`, fewest labels first.
        labels: numbers of labelled subjects by column; empty where they are unknown.
    """

    row: str
    most: str
    fewest: str | None
    margin: float
    differences: dict[str, Difference]
    labels: Mapping[str, LabelCounts] = field(default_factory=dict)

    def sentence(self, grid: Grid) -> str:
        """Return the conclusion as one sentence."""
        if self.fewest is None:
            column, best = max(self.differences.items(), key=lambda item: item[1].estimate.mean)
            return (
                f"{self.row}: no number of labels can be named, as fewer labels reach more Dice: "
                f"{self._title(grid, column)} {_compared(best.estimate)} with {self._title(grid, self.most)}."
            )
        if self.fewest == self.most:
            return f"{self.row}: {self._not_enough(grid)}; {self._untried(grid)}."
        smallest = next(iter(self.differences))
        fewer = "; fewer was not tried" if self.fewest == smallest else ""
        return (
            f"{self.row}: {self._title(grid, self.fewest)} is enough: "
            f"{_compared(self.differences[self.fewest].estimate)} with {self._title(grid, self.most)} "
            f"(non-inferior at a margin of {self.margin:g}){fewer}."
        )

    def _not_enough(self, grid: Grid) -> str:
        """Return that the largest of the smaller amounts is not enough, or not shown to be."""
        column, difference = list(self.differences.items())[-1]
        estimate = difference.estimate
        verb = "is not enough" if estimate.high < -self.margin else "is not shown to be enough"
        most = self._title(grid, self.most)
        text = (
            f"{self._title(grid, column)} {verb}: {_compared(estimate)} with {most} "
            f"(non-inferiority margin {self.margin:g})"
        )
        room = estimate.mean + self.margin
        needed = needed_text(difference, room) if room > 0 and estimate.low <= -self.margin else ""
        return f"{text}; {needed}" if needed else text

    def _untried(self, grid: Grid) -> str:
        """Return that no more labels than the most were tried, or that there are no more."""
        if grid.label_share(self.most) == 1:
            return f"{grid.column_title(self.most)} is all there is"
        return f"more than {grid.column_title(self.most)} was not tried"

    def _title(self, grid: Grid, column: str) -> str:
        """Return an amount of labels with its numbers of subjects, where they are known."""
        counts = f" ({self.labels[column]})" if column in self.labels else ""
        return grid.column_title(column) + counts


def minimal_labels(results: StudyResults, grid: Grid, margin: float = MARGIN) -> list[MinimalLabels]:
    """Return the smallest sufficient amount of labels for every row with several measured amounts.

    An amount is enough when the lower bound of the paired 95% interval of its difference from the most labels is above
    `-margin`, and so is that of every larger amount. Where an amount reaches more Dice than the most labels, by more
    than the margin or with an interval above zero, no amount is named.
    """
    found = []
    for row in grid.rows if grid.label_amounts else ():
        columns = [grid.columns[i] for i in np.argsort(grid.label_amounts) if (row, grid.columns[i]) in grid.cells]
        if len(columns) < 2:
            continue
        *smaller, most = columns
        pairs = {column: difference_of(results, grid, (row, column), (row, most)) for column in smaller}
        known = {column: pair for column, pair in pairs.items() if pair is not None and pair.estimate.known}
        if known:
            fewest = _fewest(smaller, most, known, margin)
            counts = {column: results.plan.labels.get(grid.cells[row, column]) for column in columns}
            labels = {column: count for column, count in counts.items() if count is not None}
            found.append(MinimalLabels(row, most, fewest, margin, known, labels))
    return found


def _fewest(smaller: list[str], most: str, known: Mapping[str, Difference], margin: float) -> str | None:
    """Return the column with the fewest labels that are enough; None where labels do not help."""
    if any(pair.estimate.mean > margin or pair.estimate.low > 0 for pair in known.values()):
        return None
    fewest = most
    for column in reversed(smaller):
        if column not in known or known[column].estimate.low <= -margin:
            break
        fewest = column
    return fewest


def _compared(estimate: Estimate) -> str:
    return f"{estimate.mean:+.3f} Dice (95% CI {estimate.low:+.3f} to {estimate.high:+.3f}) compared"
