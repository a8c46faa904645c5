"""Number of labels that a pretraining replaces, from the learning curve of its reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.io.load import StudyResults
from analysis.stats.bootstrap import expanded_tails, resampled_means
from analysis.stats.comparisons import compare, shared_scores
from analysis.stats.two_way import Scores
from analysis.tables.grid import Grid
from analysis.tables.table import Entry, Table

RESAMPLES = 2000
EXPONENTS = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Candidates for c in the learning curve a - b n^-c; 0 means its limit a + b log n."""


@dataclass(frozen=True)
class LabelEquivalence:
    """Factor by which the reference needs more labels for equal Dice, from the reference's fitted learning curve.

    Labels are those of training and validation subjects together, where their numbers are known.

    Attributes:
        row: title of the grid's row.
        reference: title of the reference's row.
        column: level of the column factor, an amount of labels.
        times: factor; 1 where pretraining changes nothing. NaN, as are its bounds, where the reference's curve does not
            rise with the number of labels.
        low: lower bound of the 95% interval.
        high: upper bound of the 95% interval.
        bounds: smallest and largest factor inside the measured amounts; the curve is not extrapolated.
        shown: True where the difference in Dice is significant after Holm's adjustment; else no saving is claimed.
        points: number of amounts that the curve is fitted to; through two it is a straight line in log n.
    """

    row: str
    reference: str
    column: str
    times: float
    low: float
    high: float
    bounds: tuple[float, float]
    shown: bool = True
    points: int = 3

    @property
    def known(self) -> bool:
        """True where the reference's curve rises, so that it can be read backwards."""
        return not np.isnan(self.times)

    @property
    def saves(self) -> bool:
        """True where the row needs fewer labels than its reference: both Dice and the factor's interval show it."""
        return self.shown and self.low > 1

    def sentence(self, grid: Grid) -> str:
        """Return the conclusion as one sentence."""
        where = grid.column_title(self.column)
        if not self.known:
            return (
                f"{self.row} at {where}: no saving of labels can be computed, as the Dice of {self.reference} does not "
                "rise with the number of labels."
            )
        details = f"95% CI {self.interval}{self._line}"
        if not self.shown or self.low <= 1 <= self.high:
            return (
                f"{self.row} at {where}: no saving of labels is shown compared with {self.reference} "
                f"({self.text(self.times)} the labels for equal Dice; {details})."
            )
        return (
            f"{self.row} at {where} reaches the Dice that {self.reference} reaches with {self.text(self.times)} the "
            f"labels ({details})."
        )

    @property
    def interval(self) -> str:
        """Interval as text, such as "1.2x to 3.4x"; ends outside the measured amounts are "at most" or "at least"."""
        low, high = self.text(self.low), self.text(self.high)
        return low if low == high else f"{low} to {high}"

    def text(self, times: float) -> str:
        """Return a factor as text, or the bound that it reaches or exceeds."""
        least, most = self.bounds
        if times >= most:
            return f"at least {most:.3g}x"
        return f"at most {least:.3g}x" if times <= least else f"{times:.2g}x"

    @property
    def _line(self) -> str:
        return "; from a straight line through two amounts of labels" if self.points == 2 else ""


def label_equivalence(results: StudyResults, grid: Grid) -> list[LabelEquivalence]:
    """Return the label equivalence of every row with a reference, at every amount of labels but the largest.

    The reference's power-law learning curve a - b n^-c is fitted in every resample of subjects and replicates, or
    of pretrainings where the row has several. All
    amounts and both rows share the resamples; only subjects and replicates that all have are used.
    """
    found: list[LabelEquivalence] = []
    shown = {(each.row, each.column) for each in compare(results, grid) if each.significant}
    for row, reference in grid.references.items() if grid.label_amounts else ():
        order = np.argsort(grid.label_amounts)
        columns = [grid.columns[i] for i in order if all((r, grid.columns[i]) in grid.cells for r in (row, reference))]
        cells = [grid.cells[name, column] for name in (reference, row) for column in columns]
        shared = shared_scores(results, cells)
        if len(columns) < 2 or shared is None:
            continue
        scores = shared.reshape(2, len(columns), *shared.shape[1:])
        amounts = np.array([float(column) for column in columns])
        labels = _label_numbers(results, cells, amounts)
        factors = _factors(amounts, labels, scores, f"worth {grid.cells[row, columns[0]]}")
        for index, (column, factor) in enumerate(zip(columns[:-1], factors, strict=True)):
            bounds = (float(labels[0, 0] / labels[1, index]), float(labels[0, -1] / labels[1, index]))
            significant = (row, column) in shown
            found.append(LabelEquivalence(row, reference, column, *factor, bounds, significant, len(columns)))
    return found


def _label_numbers(results: StudyResults, cells: Sequence[str], amounts: Scores) -> Scores:
    """Return the labelled subjects `(2, A)` of the reference and of the row; the amounts where one is unknown."""
    known = [results.plan.labels.get(cell) for cell in cells]
    totals = [float(counts.total) for counts in known if counts is not None]
    return np.array(totals).reshape(2, -1) if len(totals) == len(cells) else np.stack([amounts, amounts])


def _factors(amounts: Scores, labels: Scores, scores: Scores, name: str) -> list[tuple[float, float, float]]:
    """Return factor and bounds of its interval for each amount but the largest.

    Args:
        amounts: amounts of training labels `(A,)`, ascending.
        labels: labelled subjects `(2, A)` at these amounts, of the reference and of the row.
        scores: scores `(2, A, R, S)` of the reference and of the row.
        name: name of the random stream.
    """
    drawn = np.concatenate([scores.mean(axis=(-2, -1))[None], resampled_means(scores, name, RESAMPLES)])
    if not _rises(amounts, drawn[:1, 0]):
        return [(np.nan, np.nan, np.nan)] * (len(amounts) - 1)
    # Validation adds the same number of labels to all amounts, or the same share: linear in both cases.
    needed = np.interp(labels_needed(amounts, drawn[:, 0], drawn[:, 1]), amounts, labels[0])
    times = needed / labels[1]
    tails = expanded_tails(min(scores.shape[-2:]))
    bounds = np.quantile(times[1:], tails, axis=0)
    return [(float(times[0, i]), float(bounds[0, i]), float(bounds[1, i])) for i in range(len(amounts) - 1)]


def labels_needed(amounts: Scores, curve: Scores, reached: Scores) -> Scores:
    """Return the amount of labels at which a fitted learning curve reaches given Dice values.

    Args:
        amounts: amounts of labels `(A,)`, ascending and positive.
        curve: Dice `(B, A)` at these amounts, to which the curve is fitted.
        reached: Dice values `(B, C)` to invert the curve at.

    Returns:
        Amounts `(B, C)`, clipped to the smallest and largest amount.
    """
    exponents, fits = _fits(amounts, curve)
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
        texts = ["-" if e is None or not e.known else f"{e.text(e.times)} ({e.interval})" for e in entries]
        strong = [e is not None and e.saves for e in entries]
        body.append((Entry(row), *(Entry(text, bold) for text, bold in zip(texts, strong, strict=True))))
    data = [
        {"row": e.row, "reference": e.reference, "labels": e.column, "times": e.times, "low": e.low, "high": e.high}
        for e in found
    ]
    note = (
        "Factor by which the reference needs more labels for equal Dice, from its fitted learning curve; 95% "
        "intervals. Labels of validation subjects count. The curve is not extrapolated beyond the measured amounts, "
        "whose ends are given as at most and at least. Bold: the interval is above 1 and the difference in Dice is "
        "significant after Holm's adjustment."
    )
    remarks = {
        "Only two amounts of labels: a straight line in the logarithm of their number stands in for the curve.": any(
            each.points == 2 for each in found
        ),
        "-: the Dice of the reference does not rise with the number of labels.": not all(e.known for e in found),
    }
    notes = (note, *(text for text, applies in remarks.items() if applies))
    header = ("start", *map(grid.column_title, columns))
    return Table("Label equivalence of pretraining", header, tuple(body), notes, pd.DataFrame(data))


def _fits(amounts: Scores, curve: Scores) -> tuple[Sequence[float], list[tuple[Scores, Scores, Scores]]]:
    """Return the candidates for the exponent, and the fitted curve of each."""
    exponents = EXPONENTS if len(amounts) > 2 else EXPONENTS[:1]  # two amounts do not determine an exponent
    return exponents, [_fit(_basis(amounts, exponent), curve) for exponent in exponents]


def _rises(amounts: Scores, curve: Scores) -> bool:
    """Return True if the curve fitted to the Dice `(1, A)` rises with the amount of labels."""
    _, slope, _ = min(_fits(amounts, curve)[1], key=lambda fit: float(fit[2][0]))
    return bool(slope[0] > 0)


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
