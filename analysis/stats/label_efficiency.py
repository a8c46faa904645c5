"""How few labels are enough, and how many labels a pretraining is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.io.load import StudyResults
from analysis.stats.comparisons import difference_of
from analysis.stats.intervals import Difference, Scores, expanded_tails, resampled_means
from analysis.tables.grid import Grid
from analysis.tables.table import Entry, Table

MARGIN = 0.02
"""Dice that a user gives up for fewer labels, unless another margin is named."""

RESAMPLES = 2000
EXPONENTS = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Tried for c in the curve a - b n^-c; 0 stands for a + b log n, its limit."""


@dataclass(frozen=True)
class MinimalLabels:
    """The fewest labels that are not worse than all of them by more than a margin (non-inferiority).

    Attributes:
        row: title of the grid's row.
        most: the column with the most labels.
        fewest: the fewest that are enough; `most` where no fewer are.
        margin: in Dice.
        differences: of each smaller column from `most`, paired.
    """

    row: str
    most: str
    fewest: str
    margin: float
    differences: dict[str, Difference]

    def sentence(self, grid: Grid) -> str:
        """The same in words."""
        most = grid.column_title(self.most)
        if self.fewest == self.most:
            return f"{self.row}: no fewer than {most} are enough, of what was tried (margin {self.margin:g} Dice)."
        estimate = self.differences[self.fewest].estimate
        return (
            f"{self.row}: {grid.column_title(self.fewest)} are enough, {estimate.mean:+.3f} Dice against {most} "
            f"(95% CI {estimate.low:+.3f} to {estimate.high:+.3f}; not worse by the margin of {self.margin:g})."
        )


@dataclass(frozen=True)
class LabelEquivalence:
    """How many times its labels the reference would need for the same Dice, by the reference's fitted curve.

    Attributes:
        row: title of the grid's row.
        reference: of the row it is compared with.
        column: the amount of labels.
        times: 1 where pretraining changes nothing.
        low: lower end of the 95% interval.
        high: its upper end.
        bounds: the least and most times that can be told apart, as the curve is not followed beyond what was measured.
    """

    row: str
    reference: str
    column: str
    times: float
    low: float
    high: float
    bounds: tuple[float, float]

    def sentence(self, grid: Grid) -> str:
        """The same in words."""
        where = grid.column_title(self.column)
        interval = f"95% CI {self.interval}"
        return f"{self.row} at {where} is worth {self.text(self.times)} the labels of {self.reference} ({interval})."

    @property
    def interval(self) -> str:
        """Both ends."""
        if self.low >= self.bounds[1]:
            return "beyond it too"
        return f"{self.text(self.low)} to {self.text(self.high)}"

    def text(self, times: float) -> str:
        """A factor, or the bound that it lies beyond."""
        least, most = self.bounds
        if times >= most:
            return f"more than {most:.3g}x"
        return f"less than {least:.3g}x" if times <= least else f"{times:.2g}x"


def enough(results: StudyResults, grid: Grid, margin: float = MARGIN) -> list[MinimalLabels]:
    """Of every row with several amounts of labels that have been measured, in the grid's order.

    An amount is enough when the lower end of the paired 95% interval of its difference from the most labels is above
    -margin, and so is that of every larger amount.
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


def worth(results: StudyResults, grid: Grid) -> list[LabelEquivalence]:
    """Of every row with a reference at every amount of labels but the most, beyond which no curve is followed.

    The reference's curve a - b n^-c (power law, as learning curves are) is fitted anew in every resample of subjects
    and replicates, which all amounts and both rows share; only those that all have are used.
    """
    found = []
    for row, reference in grid.references.items() if grid.amounts else ():
        order = np.argsort(grid.amounts)
        columns = [grid.columns[i] for i in order if all((r, grid.columns[i]) in grid.cells for r in (row, reference))]
        scores = _scores(results, grid, (reference, row), columns)
        if len(columns) < 2 or scores is None:
            continue
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
            found.append(LabelEquivalence(row, reference, column, float(times[0]), float(low), float(high), bounds))
    return found


def labels_needed(amounts: Scores, curve: Scores, reached: Scores) -> Scores:
    """The amount of labels at which a fitted curve has the Dice that was reached.

    Args:
        amounts: `(A,)`, ascending, positive.
        curve: `(B, A)`, Dice of what is fitted at these amounts.
        reached: `(B, C)`, Dice to look for.

    Returns:
        `(B, C)`, within the least and the greatest amount.
    """
    exponents = EXPONENTS if len(amounts) > 2 else EXPONENTS[:1]  # two amounts cannot tell exponents apart
    fits = [_fit(_basis(amounts, exponent), curve) for exponent in exponents]
    errors = np.stack([error for _, _, error in fits])
    best = errors.argmin(axis=0)
    found = np.empty_like(reached)
    for number, exponent in enumerate(exponents):
        chosen = best == number
        level, slope, _ = (part[chosen] for part in fits[number])
        with np.errstate(divide="ignore", invalid="ignore"):
            place = (reached[chosen] - level[:, None]) / slope[:, None]
        flat = slope[:, None] <= 0  # more labels do not help the reference: whatever is above it is beyond its reach
        place = np.where(flat, np.where(reached[chosen] > level[:, None], np.inf, -np.inf), place)
        found[chosen] = _amount(place, exponent, amounts)
    return found


def efficiency_table(grid: Grid, found: Sequence[LabelEquivalence]) -> Table:
    """Times the labels, a row a pretraining and a column an amount of labels."""
    places = {(each.row, each.column): each for each in found}
    rows = list(dict.fromkeys(each.row for each in found))
    columns = [column for column in grid.columns if any(each.column == column for each in found)]
    body = []
    for row in rows:
        entries = [places.get((row, column)) for column in columns]
        texts = ["-" if e is None else f"{e.text(e.times)} ({e.interval})" for e in entries]
        strong = [e is not None and e.low > 1 for e in entries]
        body.append((Entry(row), *(Entry(text, bold) for text, bold in zip(texts, strong, strict=True))))
    data = [
        {"row": e.row, "reference": e.reference, "labels": e.column, "times": e.times, "low": e.low, "high": e.high}
        for e in found
    ]
    note = (
        "How many times its labels a random start would need for the same Dice, by its fitted curve; 95% intervals. "
        "The curve is not followed beyond the amounts that were measured. Bold: the interval is above 1."
    )
    header = ("worth of labels", *map(grid.column_title, columns))
    return Table("What pretraining is worth in labels", header, tuple(body), (note,), pd.DataFrame(data))


def _scores(results: StudyResults, grid: Grid, rows: Sequence[str], columns: Sequence[str]) -> Scores | None:
    """`(rows, columns, R, S)` over what all of them have; None when that is nothing."""
    tables = [results.dice(grid.cells[row, column]) for row in rows for column in columns]
    if not tables:
        return None
    replicates = sorted(set.intersection(*(set(table.index) for table in tables)))
    subjects = sorted(set.intersection(*(set(table.columns) for table in tables)))
    if not replicates or len(subjects) < 2:
        return None
    stacked = np.stack([table.loc[replicates, subjects].to_numpy(dtype=np.float64) for table in tables])
    return stacked.reshape(len(rows), len(columns), len(replicates), len(subjects))


def _basis(amounts: Scores, exponent: float) -> Scores:
    """What rises with the labels: log n, or minus a power of it."""
    return np.log(amounts) if exponent == 0 else -(amounts**-exponent)


def _amount(place: Scores, exponent: float, amounts: Scores) -> Scores:
    """The amount whose basis is `place`, kept within what was measured."""
    low, high = _basis(amounts[[0, -1]], exponent)
    kept = np.clip(place, low, high)
    found: Scores = np.exp(kept) if exponent == 0 else (-kept) ** (-1 / exponent)
    # Exactly the ends where they are met: a rounding error above the least would pass for more than nothing.
    return np.select([place <= low, place >= high], [amounts[0], amounts[-1]], found)


def _fit(basis: Scores, curve: Scores) -> tuple[Scores, Scores, Scores]:
    """Level, slope and squared error of a line through `(B, A)` at `basis` `(A,)`, each `(B,)`."""
    centred = basis - basis.mean()
    slope = curve @ centred / (centred**2).sum()
    level = curve.mean(axis=1) - slope * basis.mean()
    error = ((curve - level[:, None] - slope[:, None] * basis) ** 2).sum(axis=1)
    return level, slope, error
