"""Label efficiency: the fewest labels that are enough, and the number of labels that a pretraining replaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.io.load import StudyResults
from analysis.stats.bootstrap import expanded_tails, resampled_means
from analysis.stats.comparisons import compare, difference_of, shared_scores
from analysis.stats.intervals import Difference
from analysis.stats.two_way import Scores
from analysis.tables.grid import Grid
from analysis.tables.table import Entry, Table

MARGIN = 0.02
"""Default non-inferiority margin in Dice."""

RESAMPLES = 2000
EXPONENTS = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Candidates for c in the learning curve a - b n^-c; 0 means its limit a + b log n."""


@dataclass(frozen=True)
class MinimalLabels:
    """Smallest number of labels that is non-inferior to the largest.

    Attributes:
        row: title of the grid's row.
        most: column with the most labels.
        fewest: column with the fewest labels that are enough; `most` where fewer are not shown to be.
        margin: non-inferiority margin in Dice.
        differences: paired difference of each smaller column from `most`.
    """

    row: str
    most: str
    fewest: str
    margin: float
    differences: dict[str, Difference]

    def sentence(self, grid: Grid) -> str:
        """Return the conclusion as one sentence."""
        most = grid.column_title(self.most)
        if self.fewest == self.most:
            largest = max(self.differences, key=grid.columns.index)
            return (
                f"{self.row}: {grid.column_title(largest)} is not shown to be enough; {most} is the most that was "
                f"tried (margin {self.margin:g} Dice)."
            )
        estimate = self.differences[self.fewest].estimate
        return (
            f"{self.row}: {grid.column_title(self.fewest)} is enough: {estimate.mean:+.3f} Dice compared with {most} "
            f"(95% CI {estimate.low:+.3f} to {estimate.high:+.3f}; non-inferior at a margin of {self.margin:g})."
        )


@dataclass(frozen=True)
class LabelEquivalence:
    """Factor by which the reference needs more labels for equal Dice, from the reference's fitted learning curve.

    Attributes:
        row: title of the grid's row.
        reference: title of the reference's row.
        column: level of the column factor, an amount of labels.
        times: factor; 1 where pretraining changes nothing.
        low: lower bound of the 95% interval.
        high: upper bound of the 95% interval.
        bounds: smallest and largest factor inside the measured amounts; the curve is not extrapolated.
        shown: True where the difference in Dice is significant after Holm's adjustment; else no saving is claimed.
    """

    row: str
    reference: str
    column: str
    times: float
    low: float
    high: float
    bounds: tuple[float, float]
    shown: bool = True

    @property
    def saves(self) -> bool:
        """True where the row needs fewer labels than its reference: both Dice and the factor's interval show it."""
        return self.shown and self.low > 1

    def sentence(self, grid: Grid) -> str:
        """Return the conclusion as one sentence."""
        where = grid.column_title(self.column)
        interval = f"95% CI {self.interval}"
        if not self.shown or self.low <= 1 <= self.high:
            return (
                f"{self.row} at {where}: no saving of labels is shown compared with {self.reference} "
                f"({self.text(self.times)} the labels for equal Dice; {interval})."
            )
        return (
            f"{self.row} at {where} reaches the Dice that {self.reference} reaches with {self.text(self.times)} the "
            f"labels ({interval})."
        )

    @property
    def interval(self) -> str:
        """Interval as text, such as "1.2x to 3.4x"."""
        if self.low >= self.bounds[1]:
            return f"all above {self.bounds[1]:.3g}x"
        return f"{self.text(self.low)} to {self.text(self.high)}"

    def text(self, times: float) -> str:
        """Return a factor as text, or the bound that it exceeds."""
        least, most = self.bounds
        if times >= most:
            return f"more than {most:.3g}x"
        return f"less than {least:.3g}x" if times <= least else f"{times:.2g}x"


def minimal_labels(results: StudyResults, grid: Grid, margin: float = MARGIN) -> list[MinimalLabels]:
    """Return the smallest sufficient amount of labels for every row with several measured amounts.

    An amount is enough when the lower bound of the paired 95% interval of its difference from the most labels is above
    `-margin`, and so is that of every larger amount.
    """
    found = []
    for row in grid.rows if grid.amounts else ():
        columns = [grid.columns[i] for i in np.argsort(grid.amounts) if (row, grid.columns[i]) in grid.cells]
        if len(columns) < 2:
            continue
        *smaller, most = columns
        pairs = {column: difference_of(results, grid, (row, column), (row, most)) for column in smaller}
        known = {column: pair for column, pair in pairs.items() if pair is not None and pair.estimate.known}
        fewest = most
        for column in reversed(smaller):
            if column not in known or known[column].estimate.low <= -margin:
                break
            fewest = column
        if known:
            found.append(MinimalLabels(row, most, fewest, margin, known))
    return found


def label_equivalence(results: StudyResults, grid: Grid) -> list[LabelEquivalence]:
    """Return the label equivalence of every row with a reference, at every amount of labels but the largest.

    The reference's power-law learning curve a - b n^-c is fitted in every resample of subjects and replicates, or
    of pretrainings where the row has several. All
    amounts and both rows share the resamples; only subjects and replicates that all have are used.
    """
    found = []
    shown = {(each.row, each.column) for each in compare(results, grid) if each.significant}
    for row, reference in grid.references.items() if grid.amounts else ():
        order = np.argsort(grid.amounts)
        columns = [grid.columns[i] for i in order if all((r, grid.columns[i]) in grid.cells for r in (row, reference))]
        cells = [grid.cells[name, column] for name in (reference, row) for column in columns]
        shared = shared_scores(results, cells)
        if len(columns) < 2 or shared is None:
            continue
        scores = shared.reshape(2, len(columns), *shared.shape[1:])
        amounts = np.array([float(column) for column in columns])
        name = f"worth {grid.cells[row, columns[0]]}"
        resampled = resampled_means(scores, name, RESAMPLES)
        drawn = np.concatenate([scores.mean(axis=(-2, -1))[None], resampled])
        needed = labels_needed(amounts, drawn[:, 0], drawn[:, 1])
        tails = expanded_tails(min(scores.shape[-2:]))
        for index, column in enumerate(columns[:-1]):
            times = needed[:, index] / amounts[index]
            low, high = np.quantile(times[1:], tails)
            bounds = (float(amounts[0] / amounts[index]), float(amounts[-1] / amounts[index]))
            factor = (float(times[0]), float(low), float(high))
            found.append(LabelEquivalence(row, reference, column, *factor, bounds, (row, column) in shown))
    return found


def labels_needed(amounts: Scores, curve: Scores, reached: Scores) -> Scores:
    """Return the amount of labels at which a fitted learning curve reaches given Dice values.

    Args:
        amounts: amounts of labels `(A,)`, ascending and positive.
        curve: Dice `(B, A)` at these amounts, to which the curve is fitted.
        reached: Dice values `(B, C)` to invert the curve at.

    Returns:
        Amounts `(B, C)`, clipped to the smallest and largest amount.
    """
    exponents = EXPONENTS if len(amounts) > 2 else EXPONENTS[:1]  # two amounts do not determine an exponent
    fits = [_fit(_basis(amounts, exponent), curve) for exponent in exponents]
    errors = np.stack([error for _, _, error in fits])
    best = errors.argmin(axis=0)
    found = np.empty_like(reached)
    for number, exponent in enumerate(exponents):
        chosen = best == number
        level, slope, _ = (part[chosen] for part in fits[number])
        with np.errstate(divide="ignore", invalid="ignore"):
            place = (reached[chosen] - level[:, None]) / slope[:, None]
        flat = slope[:, None] <= 0  # more labels do not help the reference: it never reaches what lies above it
        place = np.where(flat, np.where(reached[chosen] > level[:, None], np.inf, -np.inf), place)
        found[chosen] = _amount(place, exponent, amounts)
    return found


def efficiency_table(grid: Grid, found: Sequence[LabelEquivalence]) -> Table:
    """Return a table of label equivalence with one row per pretraining and one column per amount of labels."""
    places = {(each.row, each.column): each for each in found}
    rows = list(dict.fromkeys(each.row for each in found))
    columns = [column for column in grid.columns if any(each.column == column for each in found)]
    body = []
    for row in rows:
        entries = [places.get((row, column)) for column in columns]
        texts = ["-" if e is None else f"{e.text(e.times)} ({e.interval})" for e in entries]
        strong = [e is not None and e.saves for e in entries]
        body.append((Entry(row), *(Entry(text, bold) for text, bold in zip(texts, strong, strict=True))))
    data = [
        {"row": e.row, "reference": e.reference, "labels": e.column, "times": e.times, "low": e.low, "high": e.high}
        for e in found
    ]
    note = (
        "Factor by which the reference needs more labels for equal Dice, from its fitted learning curve; 95% "
        "intervals. The curve is not extrapolated beyond the measured amounts. Bold: the interval is above 1 "
        "and the difference in Dice is significant after Holm's adjustment."
    )
    header = ("start", *map(grid.column_title, columns))
    return Table("Label equivalence of pretraining", header, tuple(body), (note,), pd.DataFrame(data))


def _basis(amounts: Scores, exponent: float) -> Scores:
    """Return the curve's increasing basis function of the amounts: log n, or minus n to the power of -c."""
    return np.log(amounts) if exponent == 0 else -(amounts**-exponent)


def _amount(place: Scores, exponent: float, amounts: Scores) -> Scores:
    """Return the amount whose basis function equals `place`, clipped to the measured amounts."""
    low, high = _basis(amounts[[0, -1]], exponent)
    kept = np.clip(place, low, high)
    found: Scores = np.exp(kept) if exponent == 0 else (-kept) ** (-1 / exponent)
    # Return the ends exactly: a rounding error above the smallest amount would look like a gain.
    return np.select([place <= low, place >= high], [amounts[0], amounts[-1]], found)


def _fit(basis: Scores, curve: Scores) -> tuple[Scores, Scores, Scores]:
    """Return level, slope and squared error, each `(B,)`, of lines fitted to `(B, A)` values at `basis` `(A,)`."""
    centred = basis - basis.mean()
    slope = curve @ centred / (centred**2).sum()
    level = curve.mean(axis=1) - slope * basis.mean()
    error = ((curve - level[:, None] - slope[:, None] * basis) ** 2).sum(axis=1)
    return level, slope, error
