"""Comparisons of all pairs of rows that have no reference between them, and the probability that a row is the best."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from analysis.io.load import StudyResults
from analysis.stats.bootstrap import resampled_means
from analysis.stats.comparisons import Comparison, adjusted, caution, difference_of, shared_scores
from analysis.tables.grid import Grid

RESAMPLES = 4000

MOST_ROWS = 12
"""Largest number of rows of which all pairs are compared; more pairs than that would hide each other."""


def compare_pairs(results: StudyResults, grid: Grid) -> list[Comparison]:
    """Return the paired comparison of every two rows in every column, except those of a row with its reference.

    Their p-values are adjusted together, by Holm. Grids of more than `MOST_ROWS` rows have none.
    """
    found: list[Comparison] = []
    if len(grid.rows) > MOST_ROWS:
        return found
    for column, (first, second) in itertools.product(grid.columns, itertools.combinations(grid.rows, 2)):
        if grid.references.get(second) == first or grid.references.get(first) == second:
            continue
        difference = difference_of(results, grid, (second, column), (first, column))
        if difference is not None:
            remark = caution(results, grid.cells[second, column]) or caution(results, grid.cells[first, column])
            title = grid.column_title(column)
            found.append(Comparison(second, first, column, title, difference, np.nan, remark))
    return adjusted(found)


def verdict(comparison: Comparison, margin: float) -> str:
    """Return "better", "worse", "equivalent" or "undecided" for the first row of a comparison.

    Better and worse follow the Holm-adjusted p-value. Equivalent means that the 95% interval lies within the margin.

    Args:
        comparison: the comparison.
        margin: equivalence margin in Dice, above 0.
    """
    estimate = comparison.difference.estimate
    if comparison.significant:
        return "better" if estimate.mean > 0 else "worse"
    if estimate.known and max(abs(estimate.low), abs(estimate.high)) < margin:
        return "equivalent"
    return "undecided"


def best_probabilities(results: StudyResults, grid: Grid) -> dict[str, dict[str, float]]:
    """Return, by column, the probability of each row to be the best; columns without two such rows are left out."""
    found = {column: _shares(results, grid, column) for column in grid.columns}
    return {column: shares for column, shares in found.items() if shares}


def _shares(results: StudyResults, grid: Grid, column: str) -> dict[str, float]:
    """Return, by row, the share of resampled studies in which the row has the highest mean Dice of its column.

    Runs and test subjects are resampled together for all rows, on those that all rows share.

    Args:
        results: results of the study.
        grid: cells by (row, column).
        column: level of the column factor.

    Returns:
        Probabilities that sum to 1; empty with fewer than two rows, or where the rows share no replicate or fewer than
        two subjects.
    """
    rows = [row for row in grid.rows if (row, column) in grid.cells and len(results.dice(grid.cells[row, column]))]
    scores = shared_scores(results, [grid.cells[row, column] for row in rows]) if len(rows) > 1 else None
    if scores is None:
        return {}
    runs, subjects = scores.shape[-2:]
    means = resampled_means(scores, f"best {column}", RESAMPLES)
    center = scores.mean(axis=(-2, -1))
    # Resampling shows too little spread by these factors; the smaller sample dominates.
    means = center + (means - center) * np.sqrt(min(runs, subjects) / max(min(runs, subjects) - 1, 1))
    shares = np.bincount(means.argmax(axis=1), minlength=len(rows)) / RESAMPLES
    return dict(zip(rows, shares.tolist(), strict=True))


def best_sentences(results: StudyResults, grid: Grid, probabilities: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return one sentence for each column: the row with the highest mean Dice, and its probability to be the best."""
    found = []
    for column, shares in probabilities.items():
        means = {row: _mean(results, grid.cells[row, column]) for row in shares}
        best = max(means, key=lambda row: means[row])
        chance = f"the best of {len(shares)} with probability {shares[best]:.2f}"
        found.append(f"Best mean Dice{grid.at(column)}: {best}, {chance}.")
    return found


def _mean(results: StudyResults, cell: str) -> float:
    return float(results.dice(cell).to_numpy(np.float64).mean())
