"""Paired comparisons of a grid's rows with their references, Holm-adjusted over all columns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.io.load import StudyResults
from analysis.stats.intervals import (
    DICE_RANGE,
    UNBOUNDED,
    Difference,
    Estimate,
    Range,
    holm,
    interval,
    paired_difference,
    runs_of,
)
from analysis.stats.power import SIGNIFICANCE
from analysis.stats.sample_size import needed_text
from analysis.stats.two_way import Scores
from analysis.tables.grid import Grid

RELEVANT = 0.02
"""Smallest difference in Dice for which a sample size is computed; no sample shows a difference of zero."""


@dataclass(frozen=True)
class Comparison:
    """Comparison of one cell with its reference on the same subjects and replicates.

    Attributes:
        row: title of the cell's row.
        reference: title of the reference's row.
        column: level of the column factor.
        column_title: displayed text of that level.
        difference: paired difference, row minus reference.
        p_holm: p-value adjusted for all comparisons of the grid; NaN where no test is possible.
        caution: remark on the row's pretraining where it has not learned its task; "" otherwise.
        tests: number of comparisons that were adjusted together.
    """

    row: str
    reference: str
    column: str
    column_title: str
    difference: Difference
    p_holm: float
    caution: str = ""
    tests: int = 1

    @property
    def sentence(self) -> str:
        """One-sentence conclusion with interval, p-value, sample sizes, and the sizes that would do if undecided."""
        estimate = self.difference.estimate
        where = f" at {self.column_title}" if self.column else ""
        counts = f"n = {_count(estimate.n_subjects, 'subject')}, {_count(estimate.n_replicates, 'replicate')}"
        if estimate.n_pretrainings:
            given = "given " if estimate.n_pretrainings == 1 else ""
            counts += f", {given}{_count(estimate.n_pretrainings, 'pretraining')}"
        if not estimate.known:
            text = f"{self.row} minus {self.reference}{where}: {estimate.mean:+.3f} Dice; {counts}"
            return text + _remarks(estimate.caveat, self.caution)
        if self.significant:
            near, far = sorted([abs(estimate.low), abs(estimate.high)])
            size = f"by {abs(estimate.mean):.3f} Dice (95% CI {near:.3f} to {far:.3f})"
            verb = "beats" if estimate.mean > 0 else "does worse than"
            text = f"{self.row} {verb} {self.reference}{where} {size}"
        else:
            size = f"{estimate.mean:+.3f} Dice (95% CI {estimate.low:+.3f} to {estimate.high:+.3f})"
            text = f"no difference is shown between {self.row} and {self.reference}{where}: {size}"
        alone = "the interval alone excludes zero" if estimate.excludes_zero and not self.significant else ""
        remarks = _remarks(alone, estimate.caveat, self.caution)
        needed = f"; {self.needed}" if self.needed else ""
        return f"{text}, {p_value_text(self.p_holm)} after Holm; {counts}{remarks}{needed}"

    @property
    def needed(self) -> str:
        """Number of replicates or subjects that would show a difference as large as observed, or as `RELEVANT`.

        Empty where a difference is shown, or where the number cannot be told.
        """
        estimate = self.difference.estimate
        if self.significant or not estimate.known:
            return ""
        return needed_text(self.difference, max(abs(estimate.mean), RELEVANT), self.tests)

    @property
    def significant(self) -> bool:
        """True where the Holm-adjusted p-value is below `SIGNIFICANCE`."""
        return self.p_holm < SIGNIFICANCE


def compare(results: StudyResults, grid: Grid) -> list[Comparison]:
    """Return every comparison for which both cells have results, ordered by column."""
    found = [
        Comparison(
            row,
            reference,
            column,
            grid.column_title(column),
            difference,
            np.nan,
            caution(results, grid.cells[row, column]),
        )
        for column in grid.columns
        for row, reference in grid.references.items()
        if (difference := difference_of(results, grid, (row, column), (reference, column))) is not None
    ]
    return adjusted(found)


def missing_references(whole: Grid, cells: Collection[str]) -> list[str]:
    """Return the keys of the cells that some of `cells` are compared with, but that are not among them.

    Args:
        whole: all cells of the study.
        cells: keys of cells that have results.
    """
    pairs = {key: (whole.references.get(row), column) for (row, column), key in whole.cells.items() if key in cells}
    partners = [whole.cells[row, column] for row, column in pairs.values() if row and (row, column) in whole.cells]
    return [key for key in dict.fromkeys(partners) if key not in cells]


def adjusted(found: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons with their p-values adjusted together, by Holm."""
    p_values = holm(np.array([comparison.difference.p_value for comparison in found]))
    tests = int(np.isfinite(p_values).sum())
    return [replace(comparison, p_holm=float(p), tests=tests) for comparison, p in zip(found, p_values, strict=True)]


def caution(results: StudyResults, cell: str) -> str:
    """Return a remark where the pretraining that a cell starts from has not clearly learned; "" otherwise."""
    learning = results.learning.get(cell)
    return f"its pretraining: {learning.verdict}" if learning is not None and learning.doubtful else ""


def estimate_of(results: StudyResults, cell: str) -> Estimate:
    """Return a cell's mean test Dice with its interval in [0, 1]; NaN without results."""
    dice = results.dice(cell)
    starts = pretrainings_of(dice.index, results.starts_of(cell))
    return interval(dice.to_numpy(dtype=np.float64), starts, possible=DICE_RANGE)


def difference_of(
    results: StudyResults, grid: Grid, first: tuple[str, str], second: tuple[str, str]
) -> Difference | None:
    """Return the paired difference of two cells.

    Args:
        results: results of the study.
        grid: cells by (row, column).
        first: row and column of the minuend.
        second: row and column of the subtrahend.

    Returns:
        The difference over shared replicates and subjects; None where the cells share none.
    """
    if first not in grid.cells or second not in grid.cells:
        return None
    keys = grid.cells[first], grid.cells[second]
    starts = results.starts_of(*keys)
    return shared_difference(results.dice(keys[0]), results.dice(keys[1]), starts, possible=DICE_RANGE)


def shared_difference(
    a: pd.DataFrame, b: pd.DataFrame, starts: Sequence[Mapping[int, str]] = (), *, possible: Range = UNBOUNDED
) -> Difference | None:
    """Return the paired difference over the replicates and subjects that two tables share; None where they share none.

    Args:
        a: scores with replicates as rows and subjects as columns.
        b: scores in the same form.
        starts: pretraining by replicate, of each table; empty for tables without pretrainings.
        possible: smallest and largest possible score.
    """
    first, second = a.align(b, join="inner")
    if first.empty:
        return None
    pretrainings = pretrainings_of(first.index, starts)
    return paired_difference(first.to_numpy(np.float64), second.to_numpy(np.float64), pretrainings, possible=possible)


def pretrainings_of(replicates: Iterable[int], starts: Sequence[Mapping[int, str]]) -> list[tuple[str | None, ...]]:
    """Return the pretrainings that each replicate of one or several cells starts from; empty where none has any.

    Args:
        replicates: numbers of the replicates.
        starts: pretraining by replicate, of each cell.
    """
    found = [tuple(own.get(replicate) for own in starts) for replicate in replicates]
    return found if any(start is not None for each in found for start in each) else []


def shared_scores(results: StudyResults, cells: Sequence[str]) -> Scores | None:
    """Return the Dice of cells `(cells, R, S)` over the runs and subjects that all have; None without any.

    Runs are replicates, or pretrainings where the cells have several. Fewer than two subjects count as none.

    Args:
        results: results of the study.
        cells: keys of the cells.
    """
    tables = [results.dice(cell) for cell in cells]
    if not tables:
        return None
    replicates = sorted(set.intersection(*(set(table.index) for table in tables)))
    subjects = sorted(set.intersection(*(set(table.columns) for table in tables)))
    if not replicates or len(subjects) < 2:
        return None
    stacked = np.stack([table.loc[replicates, subjects].to_numpy(dtype=np.float64) for table in tables])
    return runs_of(stacked, pretrainings_of(replicates, results.starts_of(*cells)))


def p_value_text(p: float) -> str:
    """Return a p-value as text.

    Example:
        >>> p_value_text(0.012), p_value_text(0.0001)
        ('p = 0.012', 'p < 0.001')
    """
    if np.isnan(p):
        return "p = n/a"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _remarks(*remarks: str) -> str:
    """Return the remarks that are not empty, each in parentheses."""
    return "".join(f" ({remark})" for remark in remarks if remark)
