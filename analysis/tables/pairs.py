"""Tables of all pairs of rows, and of the probability that a row is the best of its column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.stats.comparisons import Comparison
from analysis.stats.pairs import verdict
from analysis.tables.cells import difference_entry, p_entry
from analysis.tables.grid import Grid
from analysis.tables.table import Entry, Table


def pair_table(pairs: Sequence[Comparison], margin: float) -> Table:
    """Return every comparison of two rows that have no reference between them, with its verdict.

    Args:
        pairs: the comparisons.
        margin: equivalence margin in Dice.
    """
    header = ("comparison", "labels or level", "difference in Dice", "p (Holm)", "verdict", "would do")
    body, data = [], []
    for pair in pairs:
        estimate, word = pair.difference.estimate, verdict(pair, margin)
        body.append(
            (
                Entry(f"{pair.row} - {pair.reference}"),
                Entry(pair.column_title),
                difference_entry(pair),
                p_entry(pair.p_holm),
                Entry(word),
                Entry(pair.needed if word == "undecided" else ""),
            )
        )
        data.append(
            {
                "first": pair.row,
                "second": pair.reference,
                "column": pair.column,
                "difference": estimate.mean,
                "ci_low": estimate.low,
                "ci_high": estimate.high,
                "p": pair.difference.p_value,
                "p_holm": pair.p_holm,
                "verdict": word,
                "would_do": pair.needed if word == "undecided" else "",
            }
        )
    note = (
        "Verdict on the first of the two: better or worse by p (Holm) < 0.05 over this table; equivalent where the 95% "
        f"interval lies within {margin:g} Dice of zero; else undecided."
    )
    return Table("All other pairs", header, tuple(body), (note,), pd.DataFrame(data))


def best_table(grid: Grid, probabilities: Mapping[str, Mapping[str, float]]) -> Table | None:
    """Return the probability of each row to have the highest mean Dice of its column; None without any."""
    if not probabilities:
        return None
    shares = {column: probabilities.get(column, {}) for column in grid.columns}
    body = []
    for row in grid.rows:
        body.append((Entry(row), *(_share_entry(shares[column], row) for column in grid.columns)))
    data = pd.DataFrame(
        [
            {"row": row, "column": column, "p_best": shares[column].get(row, np.nan)}
            for row in grid.rows
            for column in grid.columns
        ]
    )
    note = "Share of resampled studies (runs and test subjects) in which a row has the highest mean Dice of its column."
    header = (grid.row_header, *map(grid.column_title, grid.columns))
    return Table("Probability to be the best", header, tuple(body), (note,), data)


def _share_entry(shares: Mapping[str, float], row: str) -> Entry:
    """Return the probability of a row; bold for the largest one."""
    if row not in shares:
        return Entry("-")
    return Entry(f"{shares[row]:.2f}", strong=shares[row] == max(shares.values()))
